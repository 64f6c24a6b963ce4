// G1: what the browser has to load.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { live, requestsOf } from "./browser.mjs";
import { figure, openPage, registrations, startChromium, startRig } from "./rig.mjs";

const dist = new URL("../../internal/coordinator/web/dist/", import.meta.url);
const size = (name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length / 1000;

test("G1: the scripts and styles are small, and nothing comes from elsewhere", async (t) => {
  figure(t, "G1", "first script, kB gzip", ["app.js", "chunk.js", "worker.js", "painter.js"].reduce((sum, name) => sum + size(name), 0), 35);
  figure(t, "G1", "styles, kB gzip", size("app.css"), 8);
  figure(t, "G1", "charts, loaded later, kB gzip", size("chart.js"), 26);
  const rig = await startRig(t);
  await rig.register(registrations(2, 2));
  await rig.report([], "SERVING");
  const browser = await startChromium(t);
  const page = await openPage(browser, "about:blank");
  const urls = requestsOf(page);
  await page.goto(rig.ui);
  await live(page);
  assert.deepEqual(urls.filter((u) => !u.startsWith(rig.http + "/")), []);
  assert.ok(!urls.some((u) => u.endsWith("chart.js")), "the page Now loads no charts");
  assert.deepEqual(page.errors, []);
});
