// G11: a person finds the root of the demo's incident with at most two keys. The pictures of the README are
// taken here: `make pictures` writes them to docs/images.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { live } from "./browser.mjs";
import { timing, openPage, shots, startChromium, startDemo } from "./rig.mjs";

const pictures = process.env.MESHHEALTH_PICTURES ?? shots;

test("G11: the root is named with 0 keys, its evidence with 1, what it affects with 2", async (t) => {
  const demo = await startDemo(t);
  const browser = await startChromium(t);
  const page = await openPage(browser, demo.ui);
  await live(page);
  // The root affects services as soon as the coordinator has found it.
  const root = page.locator("table", { hasText: /root.*explain/ }).locator("tr[data-name]");
  await root.first().waitFor({ timeout: 90_000 });
  await page.waitForFunction(() => {
    const row = document.querySelector("tr[data-name]");
    return /→ [3-9] services/.test(row?.querySelector(".c-extra")?.textContent ?? "") && /NOT_SERVING/.test(document.querySelector("h1").textContent);
  }, undefined, { timeout: 60_000 });
  const failed = performance.now();
  assert.deepEqual(await root.evaluateAll((rows) => rows.map((r) => r.dataset.name)), ["db.primary"]);
  // The pictures show an incident that has spread, and not one that spreads.
  await page.waitForFunction(() => /for [3-9]s/.test(document.querySelector("h1").textContent), undefined, { timeout: 20_000 });
  mkdirSync(pictures, { recursive: true });
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${pictures}/page-${scheme}.png` });
  }
  await page.emulateMedia({ colorScheme: "light" });
  // A person who arrives now sees the root at once.
  const other = await openPage(browser, demo.ui);
  const opened = performance.now();
  await other.waitForFunction(() => document.querySelector("tr[data-name]")?.dataset.name === "db.primary", undefined, { timeout: 10_000 });
  timing(t, "G11", "from opening the page until the root is named, s", (performance.now() - opened) / 1000, 5);
  await other.close();

  await page.keyboard.press("e");
  const why = page.locator("aside, [aria-labelledby=why-title]").first();
  await why.getByText(/db\.primary/).first().waitFor();
  await why.getByText(/refused|connection|storage|check/i).first().waitFor();
  await page.screenshot({ path: `${pictures}/evidence.png` });
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/r\/db\.primary/);
  await page.getByRole("heading", { level: 1, name: /db\.primary/ }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll("svg text").length >= 4);
  await page.screenshot({ path: `${pictures}/blast-radius.png` });
  t.diagnostic(`the incident was looked at for ${((performance.now() - failed) / 1000).toFixed(1)} s`);
  assert.deepEqual(page.errors, []);
});
