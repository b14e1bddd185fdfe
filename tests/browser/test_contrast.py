"""High contrast: JupyterLab's own themes for it, and the colours that a system forces upon pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

SETUP = """\
import tensorlab as tl
from tensorlab import nn
from tensorlab_widgets import gradients, graph, view
tl.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 1))
optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
x, y = tl.randn(16, 4), tl.randn(16, 1)
with tl.inspect.gradients(model, every=1) as recorder:
    for _ in range(12):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
loss = (model(x) - y).square().mean()"""
WIDGETS = {
    "view": ("view(x[:4], x[:4].T, names=['x', 'x.T'])", ".tl-tensor"),
    "graph": ("graph(loss, params=model)", ".tl-graph"),
    "gradients": ("gradients(recorder)", ".tl-flow"),
}
#: WCAG 2.2, 1.4.3: the least contrast of text.
LEAST = 4.5

# The contrast of every text of an element with what is behind it: the least, and where.
WORST = """(root) => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => {
      const s = v / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgba('Canvas');
  };
  let worst = { ratio: 99, text: '' };
  let seen = 0;
  for (const node of root.querySelectorAll('*')) {
    const own = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join('').trim();
    if (own === '' || !node.checkVisibility() || node.closest('.tl-spoken, [disabled]')) continue;
    const style = getComputedStyle(node);
    const drawn = node instanceof SVGElement;
    const ink = rgba(drawn ? style.fill : style.color);
    const back = behind(drawn ? node.ownerSVGElement : node);
    const share = (ink[3] / 255) * (drawn ? Number(style.fillOpacity) : 1);
    const mixed = ink.map((v, i) => v * share + back[i] * (1 - share));
    const [a, b] = [light(mixed), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < worst.ratio) worst = { ratio, text: own, color: style.color, of: node.className };
  }
  return { ...worst, seen };
}"""

# Whether canvases are in sight, and something is drawn on each.
DRAWN = """(root) => {
  const shown = [...root.querySelectorAll('canvas')]
    .filter((canvas) => canvas.checkVisibility() && canvas.clientWidth > 0);
  return shown.length > 0 && shown.every((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  });
}"""


@pytest.fixture(scope="module", params=[None, "active"], ids=["themes", "forced"])
def notebook(lab: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    forced = request.param
    options = {"forced_colors": forced} if forced else {}
    cells = [SETUP, *(source for source, _ in WIDGETS.values())]
    with lab.notebook(f"contrast-{forced}", cells, (1180, 1000), **options) as opened:
        opened.forced = bool(forced)
        yield opened


@pytest.mark.parametrize("theme", ["Light", "Dark", "Dark High Contrast"])
def test_every_text_can_be_read_and_every_picture_is_drawn(notebook: Any, theme: str) -> None:
    notebook.needs_all()
    notebook.theme(theme)
    for index, (name, (_, root)) in enumerate(WIDGETS.items(), 1):
        widget = notebook.show(index).locator(root)
        widget.wait_for()
        notebook.settle()
        kind = "forced" if notebook.forced else "theme"
        notebook.screenshot(f"contrast-{kind}-{theme.replace(' ', '')}-{name}")
        found = widget.evaluate(WORST)
        assert found["seen"] > 10
        assert found["ratio"] >= LEAST, (name, found)
        notebook.page.wait_for_function(DRAWN, arg=widget.element_handle())
