// The graph inspector: an anywidget module. tensorlab_widgets/_graph.py is its Python side.

import { widget } from "./common/model";
import { Inspector } from "./graph/inspector";
import type { GraphState } from "./graph/records";

export default widget<GraphState>(({ model, el }) => {
  const inspector = new Inspector(model);
  el.append(inspector.root);
  inspector.start();
  return () => inspector.dispose();
});
