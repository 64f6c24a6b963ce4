// G2 to G7: 10,000 instances that flip 10,000 times a second. MESHHEALTH_SOAK runs 30 minutes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, frames, heap, live, rest } from "./browser.mjs";
import { cpuSeconds, figure, timing, openPage, quantile, registrations, startChromium, startRig } from "./rig.mjs";

const soak = process.env.MESHHEALTH_SOAK === "1";

test("10,000 instances", async (t) => {
  const rig = await startRig(t);
  const { seconds } = await rig.register(registrations(2000, 5));
  t.diagnostic(`10,000 registrations took ${seconds.toFixed(1)} s`);
  await rig.report([], "SERVING");
  const browser = await startChromium(t);
  const page = await openPage(browser, rig.ui);
  await live(page);
  // The first page loads what the browser then has compiled, as the page of a person has it.
  await t.test("G2: the first paint, and the field", async (t) => {
    const second = await openPage(browser, rig.ui);
    await second.waitForFunction(() => performance.getEntriesByName("meshhealth: field drawn").length > 0, undefined, { timeout: 30_000 });
    const [paint, field] = await second.evaluate(() => [
      performance.getEntriesByName("first-contentful-paint")[0].startTime, performance.getEntriesByName("meshhealth: field drawn")[0].startTime,
    ]);
    await second.close();
    timing(t, "G2", "first contentful paint, ms", paint, 200);
    timing(t, "G2", "field of 10,000 drawn, ms", field, 800);
  });

  await t.test("G3, G6: 10,000 flips a second", async (t) => {
    const lasting = soak ? 30 * 60 : 10;
    const before = await heap(page);
    const cpu = [cpuSeconds(rig.pid), cpuSeconds(process.pid)];
    const flipping = rig.flip(10_000, lasting + 1);
    const heaps = [];
    const all = [];
    for (let left = lasting; left > 0; left -= 10) {
      all.push(...await frames(page, Math.min(10, left)));
      if (soak && left % 60 === 0) heaps.push(await heap(page));
    }
    const { flips, seconds } = await flipping;
    const used = [cpuSeconds(rig.pid) - cpu[0], cpuSeconds(process.pid) - cpu[1] - (cpuSeconds(rig.pid) - cpu[0])];
    t.diagnostic(`${Math.round(flips / seconds)} flips/s for ${seconds.toFixed(1)} s; CPU of the coordinator ${(used[0] / seconds).toFixed(2)} cores, of the browser and the test ${(used[1] / seconds).toFixed(2)}`);
    timing(t, "G3", "flips a second", flips / seconds, 9_500, true);
    const sum = all.reduce((a, b) => a + b, 0);
    timing(t, "G3", "frames a second", all.length / sum * 1000, 58, true);
    timing(t, "G3", "time between frames, p99, ms", quantile(all, 0.99), 20);
    const after = await heap(page);
    figure(t, "G6", "heap, MB", after / 1e6, 40);
    figure(t, "G6", "growth of the heap, MB", (after - before) / 1e6, soak ? 15 : 10);
    if (soak) {
      const half = heaps.length >> 1;
      const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
      figure(t, "G6", "slope of the heap, MB a minute", (mean(heaps.slice(half)) - mean(heaps.slice(0, half))) / 1e6 / half, 0.5);
    }
  });

  await t.test("G3: the same with a CPU that is four times slower", async (t) => {
    const session = await page.context().newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
    const flipping = rig.flip(10_000, 11);
    const all = await frames(page, 10);
    await flipping;
    await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
    await session.detach();
    const sum = all.reduce((a, b) => a + b, 0);
    timing(t, "G3", "frames a second at a quarter of the CPU", all.length / sum * 1000, 58, true);
    t.diagnostic(`time between frames at a quarter of the CPU: p99 ${quantile(all, 0.99).toFixed(1)} ms`);
  });

  await t.test("G4: all 10,000 at once", async (t) => {
    await rig.report([], "SERVING");
    await page.waitForFunction(() => document.querySelector("h1")?.textContent.includes("SERVING") && !document.querySelector("h1").textContent.includes("NOT_SERVING"));
    const measuring = frames(page, 3);
    const sentence = page.evaluate(() => new Promise((resolve) => {
      const h1 = document.querySelector("h1");
      const watching = new MutationObserver(() => {
        if (!h1.textContent.includes("NOT_SERVING")) return;
        watching.disconnect();
        const channel = new MessageChannel();
        channel.port1.onmessage = () => resolve(performance.timeOrigin + performance.now());
        channel.port2.postMessage(0);
      });
      watching.observe(h1, { subtree: true, childList: true, characterData: true });
    }));
    await rig.report([], "NOT_SERVING", { reason: "the rig fails" });
    const right = await sentence;
    // The mesh changes when enough services have failed. That is when the coordinator published it.
    const answer = await fetch(`${rig.http}/meshhealth.v1.HealthService/Check`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"service":"*"}' });
    const { health } = await answer.json();
    timing(t, "G4", "from the publication until the sentence is right, ms", right - Date.parse(health.since), 250);
    timing(t, "G4", "longest frame, ms", Math.max(...await measuring), 50);
  });

  await t.test("G7: a key in the filter", async (t) => {
    await rig.report([], "SERVING");
    await rest(page);
    const script = await page.evaluate(async () => {
      const input = document.querySelector("input[type=search]");
      const times = [];
      const words = ["s", "sv", "svc", "svc-", "svc-0", "svc-00", "svc-001", "zone=eu-1", "zone=eu-1,status=SERVING", "label.team=web", "!zone=eu-1", ""];
      for (const word of words) {
        input.value = word;
        const begin = performance.now();
        input.dispatchEvent(new InputEvent("input", { bubbles: true }));
        await Promise.resolve();
        times.push(performance.now() - begin);
        // Nobody types faster than 20 keys a second.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return times;
    });
    t.diagnostic(`script for each key, ms: ${script.map((x) => x.toFixed(1)).join(", ")}`);
    timing(t, "G7", "script for a key, median, ms", quantile(script, 0.5), 16);
  });

  await t.test("G5: from a flip at the coordinator to the pixel", async (t) => {
    await rig.report([], "SERVING");
    await rest(page);
    await page.fill("input[type=search]", "svc-0007");
    await page.waitForSelector('tr[data-name="svc-0007/i-1"]');
    await rest(page);
    const delays = [];
    for (let i = 0; i < (soak ? 1000 : 100); i++) {
      const [word, status] = i % 2 === 0 ? ["DEGRADED", "DEGRADED"] : ["SERVING", "SERVING"];
      const seen = drawn(page, "svc-0007/i-1", word);
      // The moment within the interval between two frames is random.
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 17));
      const { at } = await rig.report(["svc-0007/i-1"], status);
      delays.push(await seen - at);
    }
    timing(t, "G5", "flip to pixel, p50, ms", quantile(delays, 0.5), 20);
    timing(t, "G5", "flip to pixel, p99, ms", quantile(delays, 0.99), 50);
  });
  assert.deepEqual(page.errors, []);
});
