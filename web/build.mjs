// Builds the page into internal/coordinator/web/dist, or into the folder that is given. The output
// depends only on the source and the lock file, so that CI can compare it with what is committed.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../internal/coordinator/web/dist");

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
// Tabs of different sources must not share a worker, so the hash of the sources is part of its name.
const stamp = createHash("sha256");
for (const name of (await readdir(join(here, "src"))).sort()) if (/\.tsx?$/.test(name)) stamp.update(await readFile(join(here, "src", name)));
const common = {
  define: { buildStamp: JSON.stringify(stamp.digest("hex").slice(0, 12)) },
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
// pages.js is loaded with the first view beside Now, and chunk.js has what app.js and pages.js share.
await build({ ...common, entryPoints: { app: "src/app.tsx" }, outdir: out, splitting: true, chunkNames: "[name]" });
await build({ ...common, entryPoints: { worker: "src/worker.ts" }, outdir: out });
await build({ ...common, entryPoints: { painter: "src/painter.ts" }, outdir: out });
// chart.js is loaded by the first page that draws a chart.
if (existsSync(join(here, "src/chart.ts"))) await build({ ...common, entryPoints: { chart: "src/chart.ts" }, outdir: out });
await build({ ...common, entryPoints: { app: "src/app.css" }, outdir: out });
for (const name of ["index.html", "icon.svg"]) await copyFile(join(here, "src", name), join(out, name));
