// Export: a picture as SVG or PNG, and the whole widget as one page that needs no network.

import { aria, button, span } from "./dom";
import { isOffline, type Model } from "./model";

/** Offer a file for download. */
export function download(name: string, blob: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** An SVG document as a PNG, `scale` pixels for each of its own. */
export async function png(svg: string, scale = 2): Promise<Blob> {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    await new Promise((done, failed) => {
      image.onload = done;
      image.onerror = () => failed(new Error("the picture could not be drawn"));
      image.src = url;
    });
    // Browsers refuse larger canvases.
    const fit = Math.min(scale, 16_000 / Math.max(image.width, image.height, 1));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(Math.round(image.width * fit), 1);
    canvas.height = Math.max(Math.round(image.height * fit), 1);
    const context = canvas.getContext("2d");
    context?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) => {
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture is too large"))));
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** A JavaScript string of JSON in which arrays of bytes are `{"base64": …}`. No text in it can end the
    script around it. */
export function pack(state: unknown): string {
  const json = JSON.stringify(state, (_, value) => {
    if (!(value instanceof DataView)) return value;
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) {
      text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    return { base64: btoa(text) };
  });
  return JSON.stringify(json).replaceAll("<", "\\u003c");
}

/** The widget as one HTML file. `_base.py` fills the same frame. */
export function page<S>(model: Model<S>, title: string, state: S = model.get("state")): string {
  const parts: Record<string, string> = {
    title: title.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
    css: model.get("_css").replaceAll("</style", "<\\/style"),
    state: pack(state),
    esm: model.get("_esm").replaceAll("</script", "<\\/script"),
  };
  return model.get("page").replace(/@@(\w+)@@/g, (whole, name: string) => parts[name] ?? whole);
}

/** Buttons SVG, PNG and HTML. A widget without a picture of its own leaves out `svg`. */
export function exportButtons<S>(
  model: Model<S>,
  options: {
    /** The file's name without its ending; also the page's title. */
    name: () => string;
    svg?: () => string;
    /** What a standalone page starts with, where that is more than `model.get("state")`. */
    state?: () => S;
    failed: (words: string) => void;
  },
): HTMLElement {
  const { svg } = options;
  const root = span("tl-group");
  aria(root, { role: "group", label: "Save as" });
  const file = (ending: string) =>
    `${options.name().replace(/[^\w.-]+/g, "_") || "tensorlab"}.${ending}`;
  if (svg !== undefined) {
    root.append(
      button("SVG", "Save the picture as an SVG file", () =>
        download(file("svg"), new Blob([svg()], { type: "image/svg+xml" })),
      ),
      button("PNG", "Save the picture as a PNG file", () => {
        png(svg()).then(
          (blob) => download(file("png"), blob),
          (error: Error) => options.failed(`No PNG: ${error.message}.`),
        );
      }),
    );
  }
  if (!isOffline(model)) {
    root.append(
      button("HTML", "Save as one web page that works without kernel and network", () =>
        download(
          file("html"),
          new Blob([page(model, options.name(), options.state?.())], { type: "text/html" }),
        ),
      ),
    );
  }
  return root;
}
