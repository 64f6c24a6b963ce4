// G8: all tabs of a browser share one stream. Plain HTTP/1.1 allows only six connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, live } from "./browser.mjs";
import { figure, openPage, quantile, registrations, startChromium, startRig, until } from "./rig.mjs";

const coordinatorOf = async (rig) => (await fetch(`${rig.http}/meshhealth.v1.AdminService/GetCoordinator`, {
  method: "POST", headers: { "content-type": "application/json" }, body: "{}",
})).json();

test("G8: twelve tabs, one stream", async (t) => {
  const rig = await startRig(t);
  await rig.register(registrations(5, 2));
  await rig.report([], "SERVING");
  const browser = await startChromium(t);
  const first = await openPage(browser, rig.ui);
  const tabs = [first];
  for (let i = 1; i < 12; i++) {
    const tab = await first.context().newPage();
    await tab.goto(rig.ui);
    tabs.push(tab);
  }
  await Promise.all(tabs.map(live));
  assert.equal((await coordinatorOf(rig)).watchers, 1);
  const delays = [];
  for (let i = 0; i < 5; i++) {
    const word = i % 2 === 0 ? "DEGRADED" : "SERVING";
    const seen = tabs.map((tab) => tab.waitForFunction((word) => document.querySelector('tr[data-name="svc-0001"] .c-status')?.textContent.includes(word), word, { polling: 50 }).then(() => Date.now()));
    const { at } = await rig.report(["svc-0001/i-0", "svc-0001/i-1"], word);
    for (const s of await Promise.all(seen)) delays.push(s - at);
  }
  t.diagnostic(`G8: a change is in all 12 tabs after p50 ${quantile(delays, 0.5).toFixed(0)} ms, at most ${Math.max(...delays).toFixed(0)} ms (the tabs are asked every 50 ms)`);
  const answers = await Promise.all(tabs.map((tab) => tab.evaluate(async () => (await fetch(new URL("../meshhealth.v1.HealthService/Check", document.baseURI), {
    method: "POST", headers: { "content-type": "application/json" }, body: '{"service":"*"}',
  })).status)));
  assert.deepEqual(answers, tabs.map(() => 200));
  assert.equal((await coordinatorOf(rig)).watchers, 1);
  await Promise.all(tabs.map((tab) => tab.close()));
  await until("the stream has ended with the last tab", 15, async () => ((await coordinatorOf(rig)).watchers ?? 0) === 0);
  figure(t, "G8", "streams at the coordinator for 12 tabs", 1, 1);
});

test("G8: without SharedWorker each visible tab has a stream of its own", async (t) => {
  const rig = await startRig(t);
  await rig.register(registrations(5, 2));
  await rig.report([], "SERVING");
  const browser = await startChromium(t);
  const page = await openPage(browser, "about:blank");
  await page.context().addInitScript(() => { delete globalThis.SharedWorker; });
  await page.goto(rig.ui);
  await live(page);
  assert.equal((await coordinatorOf(rig)).watchers, 1);
  const seen = drawn(page, "svc-0001", "NOT_SERVING");
  await rig.report(["svc-0001/i-0", "svc-0001/i-1"], "NOT_SERVING");
  await seen;
  assert.deepEqual(page.errors, []);
});
