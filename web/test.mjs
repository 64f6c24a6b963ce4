// Bundles each test with esbuild, and runs all of them with the test runner of node.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const tests = (await readdir(join(here, "test"))).filter((name) => name.endsWith(".test.ts")).map((name) => join(here, "test", name));
const out = await mkdtemp(join(tmpdir(), "meshhealth-web-"));
try {
  await build({
    entryPoints: tests, outdir: out, outExtension: { ".js": ".mjs" }, bundle: true, platform: "node", format: "esm",
    target: "node20", sourcemap: "inline", absWorkingDir: here, jsx: "automatic", jsxImportSource: "preact", logLevel: "warning",
  });
  const files = (await readdir(out)).map((name) => join(out, name));
  process.exitCode = spawnSync(process.execPath, ["--test", "--enable-source-maps", ...files], { stdio: "inherit" }).status ?? 1;
} finally {
  await rm(out, { recursive: true, force: true });
}
