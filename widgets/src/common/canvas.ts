// Canvases that are sharp on every screen, and the theme's colours for them.

/** Fit the canvas's pixels to its size on the page; returns its context in CSS pixels. While it is out of
    sight it has no size, and what is drawn on it stays: null. */
export function fitted(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  if (canvas.clientWidth === 0) return null;
  const ratio = globalThis.devicePixelRatio || 1;
  const width = Math.max(Math.round(canvas.clientWidth * ratio), 1);
  const height = Math.max(Math.round(canvas.clientHeight * ratio), 1);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** The colours of theme.css as this element's surroundings make them: `colors(el)["--tl-text"]`. */
export function colors<K extends string>(el: Element, names: readonly K[]): Record<K, string> {
  // A custom property gives its text; as a colour of an element it is resolved.
  const probe = document.createElement("span");
  probe.style.cssText = "display:none;forced-color-adjust:none";
  el.append(probe);
  const found = {} as Record<K, string>;
  for (const name of names) {
    probe.style.color = `var(${name})`;
    found[name] = getComputedStyle(probe).color || "#888";
  }
  probe.remove();
  return found;
}

/** Calls `changed` when the theme or the contrast changes; and when `seen` gets its place in the page or
    another size, as only there are a width and the theme's colours. Returns what ends that. */
export function onTheme(changed: () => void, seen?: Element): () => void {
  const sized = new ResizeObserver(changed);
  if (seen !== undefined) sized.observe(seen);
  // JupyterLab hides its notebooks for a moment while their theme changes.
  let frame = 0;
  const soon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(changed);
    });
  };
  const observer = new MutationObserver(soon);
  observer.observe(document.body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"],
  });
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) =>
    globalThis.matchMedia(query),
  );
  for (const query of queries) query.addEventListener("change", soon);
  return () => {
    cancelAnimationFrame(frame);
    sized.disconnect();
    observer.disconnect();
    for (const query of queries) query.removeEventListener("change", soon);
  };
}

/** The part of [0, 1] on a ramp that is read by colour-blind eyes and in grey (viridis), as "rgb(…)". */
export function viridis(t: number): string {
  const at = Math.min(Math.max(Number.isFinite(t) ? t : 0, 0), 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const a = VIRIDIS[i] as readonly number[];
  const b = VIRIDIS[i + 1] as readonly number[];
  const mixed = a.map((from, k) => Math.round(from + ((b[k] ?? from) - from) * (at - i)));
  return `rgb(${mixed.join(",")})`;
}

const VIRIDIS: readonly (readonly number[])[] = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/** Black or white, whichever is readable on an "rgb(r,g,b)" colour. */
export function inkOn(color: string): string {
  const [r = 0, g = 0, b = 0] = (color.match(/[\d.]+/g) ?? []).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff";
}
