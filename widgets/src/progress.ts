// The live progress bar: an anywidget module. Python replaces it by static HTML when the loop ends.

import type { AnyModel, RenderProps } from "@anywidget/types";
import { Announcer } from "./announce";
import { aria, div, element, on } from "./common/dom";
import type { State } from "./state";
import { STOP_TEXT, Stop, type StopState } from "./stop";
import { RowView } from "./view";

type Model = AnyModel<{ state: State }>;

/** JupyterLab's widget manager holds the kernel's connection; other front ends may not. */
interface WithKernel {
  kernel?: { interrupt?: () => Promise<void> } | null;
}

function interruptOf(model: Model): (() => Promise<void>) | null {
  if (!model.get("state").interruptible) return null;
  const kernel = (model.widget_manager as unknown as WithKernel | undefined)?.kernel;
  return typeof kernel?.interrupt === "function"
    ? () => kernel.interrupt?.() as Promise<void>
    : null;
}

function render({ model, el }: RenderProps<{ state: State }>): () => void {
  const rows = div("tl-rows");
  const button = element("button", "tl-stop", "Stop");
  button.type = "button";
  button.title = "End the loop after the current step; everything so far is kept";
  const note = div("tl-note");
  aria(note, { role: "status" });
  const spoken = div("tl-spoken");
  aria(spoken, { live: "polite" });
  const root = div("tl-progress", div("tl-head", rows, button), note, spoken);
  aria(root, { role: "group" });
  el.append(root);

  const views: RowView[] = [];
  const announcer = new Announcer();
  let received = performance.now();
  let frame = 0;

  const draw = () => {
    frame = 0;
    const state = model.get("state");
    const now = performance.now();
    aria(root, { label: `Progress: ${state.rows[0]?.label ?? ""}` });
    while (views.length > state.rows.length) views.pop()?.root.remove();
    state.rows.forEach((row, i) => {
      let view = views[i];
      if (view === undefined) {
        view = new RowView(i > 0);
        views.push(view);
        rows.append(view.root);
      }
      view.update(row, (now - received) / 1000);
    });
    const sentence = announcer.next(state, now);
    if (sentence !== null) spoken.textContent = sentence;
  };
  const schedule = () => {
    if (frame === 0) frame = requestAnimationFrame(draw);
  };
  const onState = () => {
    received = performance.now();
    schedule();
  };

  const stop = new Stop({
    interrupt: interruptOf(model),
    send: () => model.send({ type: "stop" }),
    changed: (state: StopState) => {
      note.textContent = STOP_TEXT[state];
      // Not `disabled`: that would throw the keyboard focus out of the widget.
      aria(button, { disabled: state === "asking" || state === "stopping" });
    },
    after: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
  });
  const onPress = () => void stop.press();
  const onMessage = (message: { type?: string }) => {
    if (message.type === "stopping") stop.heard();
  };

  on(button, "click", onPress);
  model.on("change:state", onState);
  model.on("msg:custom", onMessage);
  // The clock goes on while a long step runs and nothing comes from Python.
  const clock = setInterval(schedule, 1000);
  draw();

  return () => {
    clearInterval(clock);
    cancelAnimationFrame(frame);
    stop.dispose();
    button.removeEventListener("click", onPress);
    model.off("change:state", onState);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
