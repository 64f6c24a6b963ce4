// G9: axe finds no violation on any page, in any colours and in any state.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { live } from "./browser.mjs";
import { startProxy } from "./proxy.mjs";
import { openPage, registrations, shots, startChromium, startRig } from "./rig.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const check = async (page, what) => {
  // CSP forbids scripts in the page, so axe is evaluated by the debugger.
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return result.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join("; ")}`);
  });
  assert.deepEqual(found, [], what);
};

const looks = [
  { colorScheme: "light", forcedColors: "none" }, { colorScheme: "dark", forcedColors: "none" }, { colorScheme: "light", forcedColors: "active" },
];

const mesh = async (t, services, instances, settings) => {
  const rig = await startRig(t, settings);
  await rig.register(registrations(services, instances));
  await rig.depend({ "svc-0001": { hard: ["svc-0000"] }, "svc-0002": { hard: ["svc-0001"], soft: ["svc-0003"] } });
  await rig.report([], "SERVING", { checks: [{ name: "db", status: "STATUS_SERVING", passes: 3 }] });
  await rig.report(["svc-0000/i-0", "svc-0000/i-1"], "NOT_SERVING", { reason: "the disk is full" });
  await rig.report(["svc-0001/i-0", "svc-0001/i-1"], "NOT_SERVING", { reason: "svc-0000 fails" });
  return rig;
};

test("G9: every page in all colours", async (t) => {
  const rig = await mesh(t, 20, 2);
  const browser = await startChromium(t);
  const page = await openPage(browser, rig.ui);
  await live(page);
  let runs = 0;
  for (const path of ["", "?q=svc-0000", "?q=nothing-matches", "s/svc-0001", "s/svc-0001/i-0", "r/svc-0000", "history", "maintenance", "coordinator", "s/missing", "no/such/page", "history?from=2020-01-01T00:00:00Z"]) {
    await page.goto(`${rig.ui}/${path}`);
    await page.waitForFunction(() => document.documentElement.dataset.connection === "live" && document.querySelector("h1") !== null);
    for (const look of looks) {
      await page.emulateMedia(look);
      await check(page, `${path || "now"}, ${JSON.stringify(look)}`);
      runs++;
    }
  }
  await page.goto(rig.ui);
  await live(page);
  for (const key of ["e", "?"]) {
    await page.keyboard.press(key);
    for (const look of looks) {
      await page.emulateMedia(look);
      await check(page, `after the key ${key}, ${JSON.stringify(look)}`);
      runs++;
    }
  }
  t.diagnostic(`G9: ${runs} runs of axe without a violation`);
  assert.deepEqual(page.errors.filter((e) => !/404/.test(e)), []);
});

test("G9: every state in all colours", async (t) => {
  const rig = await mesh(t, 20, 2);
  const proxy = await startProxy(t, rig.http);
  const empty = await startRig(t);
  const browser = await startChromium(t);
  const states = {
    empty: async () => { const page = await openPage(browser, empty.ui); await page.waitForSelector(".empty"); return page; },
    loading: async () => {
      // The page itself is loaded, and then nothing answers.
      const page = await openPage(browser, "about:blank");
      await page.context().route(/meshhealth\.v1/, () => {});
      await page.context().addInitScript(() => { delete globalThis.SharedWorker; });
      await page.goto(rig.ui);
      await page.waitForSelector(".loading");
      return page;
    },
    lost: async () => {
      const page = await openPage(browser, `${proxy.http}/ui/`);
      await live(page);
      proxy.mode = "refuse";
      proxy.cut();
      await page.waitForSelector(".banner.lost", { timeout: 20_000 });
      proxy.mode = "pass";
      return page;
    },
    forbidden: async () => {
      const page = await openPage(browser, "about:blank");
      await page.context().addInitScript(() => { delete globalThis.SharedWorker; });
      await page.context().route(/meshhealth\.v1/, (r) => r.fulfill({ status: 401, contentType: "application/json", body: '{"code":"unauthenticated","message":"a token is needed"}' }));
      await page.goto(rig.ui);
      await page.waitForSelector(".banner.forbidden");
      return page;
    },
    "no cells": async () => {
      const page = await openPage(browser, "about:blank");
      await page.context().route(/painter\.js/, (r) => r.fulfill({ status: 404, body: "" }));
      await page.goto(rig.ui);
      await page.waitForSelector(".under[role=status]");
      return page;
    },
    past: async () => {
      const page = await openPage(browser, `${rig.ui}/?at=${new Date(Date.now() - 60_000).toISOString()}`);
      await page.waitForSelector(".banner.past");
      return page;
    },
    gap: async () => {
      const many = await mesh(t, 50, 4);
      const gate = await startProxy(t, many.http);
      const page = await openPage(browser, `${gate.http}/ui/`);
      await live(page);
      gate.mode = "refuse";
      gate.cut();
      // The log of changes has 8 MiB: it does not have all of these.
      await many.flip(10_000, 3);
      gate.mode = "pass";
      await page.getByText(/Changes after revision \d+ are missing/).waitFor({ timeout: 30_000 });
      return page;
    },
    "new build": async () => {
      const first = await mesh(t, 2, 2, { build: "v1" });
      const page = await openPage(browser, first.ui);
      await live(page);
      const [http, listen] = [first.http.replace("http://", ""), first.grpc];
      await first.stop();
      await startRig(t, { http, listen, build: "v2" });
      await page.getByText("The coordinator was updated.").waitFor({ timeout: 40_000 });
      return page;
    },
    paused: async () => {
      const page = await openPage(browser, rig.ui);
      await live(page);
      await page.keyboard.press(" ");
      await page.waitForSelector(".banner.past");
      return page;
    },
  };
  mkdirSync(shots, { recursive: true });
  for (const [name, open] of Object.entries(states)) {
    const page = await open();
    await page.screenshot({ path: `${shots}/state-${name}.png` });
    for (const look of looks) {
      await page.emulateMedia(look);
      await check(page, `${name}, ${JSON.stringify(look)}`);
    }
    await page.close();
  }
});

test("narrow and enlarged pages do not scroll sideways", async (t) => {
  const rig = await mesh(t, 20, 2);
  const browser = await startChromium(t);
  const page = await openPage(browser, rig.ui, { viewport: { width: 320, height: 800 } });
  for (const path of ["", "s/svc-0001", "s/svc-0001/i-0", "r/svc-0000", "history", "maintenance", "coordinator"]) {
    await page.goto(`${rig.ui}/${path}`);
    await page.waitForFunction(() => document.documentElement.dataset.connection === "live" && document.querySelector("h1") !== null);
    // A page of 640 px at 200 % has 320 CSS pixels too.
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${path || "now"} is wider than 320 px`);
  }
});
