// Builds the page into internal/coordinator/web/dist, or into the folder that is given. The output
// depends only on the source and the lock file, so that CI can compare it with what is committed.
import { build } from "esbuild";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../internal/coordinator/web/dist");

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  absWorkingDir: here,
  logLevel: "warning",
};
await build({ ...common, entryPoints: { app: "src/app.tsx", worker: "src/worker.ts" }, outdir: out });
// chart.js is loaded by the first page that draws a chart.
await build({ ...common, entryPoints: { chart: "src/chart.ts" }, outdir: out });
await build({ ...common, entryPoints: { app: "src/app.css" }, outdir: out });
await copyFile(join(here, "src/index.html"), join(out, "index.html"));
