// Builds src/*.ts into tensorlab_widgets/static/, the files that the Python package ships.
//
//   node build.mjs           write them
//   node build.mjs --check   fail if the committed files are not what the sources build
//
// esbuild is pinned, so the same sources give the same bytes everywhere.

import { readFile, rename, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const STATIC = `${HERE}/tensorlab_widgets/static`;
// Each widget is a file of its own, name.ts and name.css. What the CSS of all begins with is built once.
const WIDGETS = ["gradients", "graph", "progress", "replay", "tensor", "training"];
// A widget is saved in a notebook with all of its code: small is a feature. All of them together:
const LIMIT = 150 * 1024;

// `Math.max`, which occurs a hundred times, becomes a name of one letter: see src/common/shared.ts.
const SHARED =
  "Math.abs Math.ceil Math.floor Math.log10 Math.max Math.min Math.round Number.isFinite";

const { outputFiles } = await build({
  absWorkingDir: HERE,
  entryPoints: [
    ...WIDGETS.flatMap((name) => [`src/${name}.ts`, `src/${name}.css`]),
    { in: "src/common/theme.css", out: "theme" },
  ],
  outdir: STATIC,
  bundle: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  inject: ["src/common/shared.ts"],
  define: {
    ...Object.fromEntries(SHARED.split(" ").map((name) => [name, name.replace(".", "_")])),
    "Number.NaN": "NaN",
  },
  charset: "utf8",
  legalComments: "none",
  write: false,
});

const checking = process.argv.includes("--check");
let total = 0;
for (const { path, contents } of outputFiles) {
  const name = path.slice(HERE.length + 1);
  total += contents.length;
  const committed = await readFile(path).catch(() => null);
  if (committed?.equals(contents)) {
    console.log(`${name}: ${contents.length} bytes, current`);
  } else if (checking) {
    console.error(`${name} is not what src/ builds; run: npm run build`);
    process.exitCode = 1;
  } else {
    await writeFile(`${path}.new`, contents);
    await rename(`${path}.new`, path);
    console.log(`${name}: ${contents.length} bytes, written`);
  }
}
console.log(`${total} bytes of ${LIMIT}`);
if (total > LIMIT) throw new Error(`the built files have ${total} bytes; the limit is ${LIMIT}`);
