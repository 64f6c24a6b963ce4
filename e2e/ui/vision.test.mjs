// G12: the statuses of the field can be told apart by shape alone, and no page is cut off at any width, in any
// colours and in any state. The pictures are for people: they depend on the fonts and the browser of the machine.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { live, rest } from "./browser.mjs";
import { startProxy } from "./proxy.mjs";
import { figure, openPage, registrations, shots, startChromium, startOracle, startRig, until } from "./rig.mjs";

/** A service for each status. */
const words = ["NOT_SERVING", "UNKNOWN", "STARTING", "DRAINING", "MAINTENANCE", "DEGRADED", "SERVING"];
const perService = 8;
/** The side of a cell, the height of the label above a group, and the distance of two groups, in CSS pixels (web/src/groups.ts). */
const [side, label, group] = [14, 18, perService * 14 + 16];
const cells = words.flatMap((_, g) => Array.from({ length: perService }, (_, k) => ({ x: g * group + k * side, y: label })));

/** A pixel is part of a shape or of a hatch if it has this contrast to the paper, as in WCAG. */
const threshold = 1.5;

/** Reads a picture of the field without regard to colour: each cell becomes a mask of its pixels. */
const read = async (reader, field) => reader.evaluate(async ({ png, cells, side, threshold }) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const c = new OffscreenCanvas(image.width, image.height).getContext("2d");
  c.drawImage(image, 0, 0);
  const linear = (v) => (v <= 10 ? v / 3294 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const lights = ({ data: d }) => Array.from({ length: d.length / 4 }, (_, i) => 0.2126 * linear(d[4 * i]) + 0.7152 * linear(d[4 * i + 1]) + 0.0722 * linear(d[4 * i + 2]));
  const [paper] = lights(c.getImageData(image.width - 1, image.height - 1, 1, 1));
  const all = c.getImageData(0, 0, image.width, image.height).data;
  return {
    grey: all.every((v, i) => i % 4 === 3 || Math.abs(v - all[i - (i % 4)]) <= 1), dark: paper < 0.5,
    cells: cells.map(({ x, y }) => {
      const contrasts = lights(c.getImageData(x, y, side, side)).map((l) => (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05));
      return { contrast: Math.max(...contrasts), mask: contrasts.map((v) => v > threshold) };
    }),
  };
}, { png: (await field.screenshot()).toString("base64"), cells, side, threshold });

/** The part of the pixels of either mask that only one of them has. */
const difference = (a, b) => a.filter((v, i) => v !== b[i]).length / Math.max(1, a.filter((v, i) => v || b[i]).length);

const count = (list) => Object.fromEntries([...new Set(list)].sort().map((l) => [l, list.filter((other) => other === l).length]));

test("G12: the statuses of the field can be told apart by shape", async (t) => {
  const rig = await startRig(t, { unreachableAfter: 3600 });
  await rig.register(registrations(words.length, perService));
  const names = (g, from, to) => Array.from({ length: to - from }, (_, k) => `svc-000${g}/i-${from + k}`);
  for (const [g, word] of words.entries()) {
    if (word === "UNKNOWN") await rig.misconfigure(names(g, 0, perService));
    else await rig.report(names(g, 0, perService), word);
    await rig.report(names(g, 1, 2), "SERVING");
    await rig.malformed(names(g, 6, perService));
  }
  const browser = await startChromium(t);
  const reader = await openPage(browser, "about:blank");
  const themes = {};
  const truth = [];
  for (const colorScheme of ["light", "dark"]) {
    const page = await openPage(browser, rig.ui, { colorScheme });
    await live(page);
    const field = page.locator(".field canvas");
    const session = await page.context().newCDPSession(page);
    const see = async (type) => {
      await session.send("Emulation.setEmulatedVisionDeficiency", { type });
      let seen;
      await until("all cells are painted", 10, async () => (seen = await read(reader, field)).cells.every((c) => c.contrast > 1.2));
      assert.equal(seen.dark, colorScheme === "dark");
      assert.equal(seen.grey, type === "achromatopsia", `${type} is emulated`);
      return seen.cells;
    };
    // What the page says of a cell in words. The coordinator confirms it below.
    const box = await field.boundingBox();
    if (truth.length === 0) for (const { x, y } of cells) {
      await page.mouse.move(box.x + x + side / 2, box.y + y + side / 2);
      truth.push((await page.locator(".under .status").textContent()).replace(/[^A-Za-z_]+/g, " ").trim());
    }
    await page.mouse.move(0, 0);
    themes[colorScheme] = { page, see, plain: await see("none") };
  }
  const oracle = await startOracle(t, rig.grpc);
  let told = [];
  await until("the oracle has all instances", 10, () => (told = [...oracle.entries.values()].filter((h) => /^i-/.test(h.instance))).length === cells.length);
  told = count(told.map((h) => `${h.status.slice("STATUS_".length)}${h.unconfirmed ? " unconfirmed" : ""}`));
  assert.equal(new Set(Object.keys(told).map((l) => l.split(" ")[0])).size, words.length, JSON.stringify(told));
  assert.deepEqual(count(truth), told);

  for (const [here, other] of [["light", "dark"], ["dark", "light"]]) {
    const { see, page } = themes[here];
    // The first cell of each look in the other colours, without emulation, says how the look is drawn.
    const looks = Object.keys(told).map((look) => ({ look, mask: themes[other].plain[truth.indexOf(look)].mask }));
    for (const type of ["achromatopsia", "deuteranopia"]) {
      const seen = await see(type);
      const ranked = seen.map((c) => looks.map((l) => [difference(c.mask, l.mask), l.look]).sort((a, b) => a[0] - b[0]));
      assert.deepEqual(ranked.map(([first]) => first[1]), truth, `${here}, ${type}`);
      const [margin, closest] = ranked.map(([first, second]) => [second[0] - first[0], `${first[1]} and ${second[1]}`]).sort((a, b) => a[0] - b[0])[0];
      figure(t, "G12", `${here}, ${type}: ${looks.length} looks counted; the closest are ${closest}, % of pixels between them`, 100 * margin, 10, true);
      figure(t, "G12", `${here}, ${type}: lowest contrast of a shape`, Math.min(...seen.map((c) => c.contrast)), 3, true);
    }
    assert.deepEqual(page.errors, []);
  }
});

const pages = { now: "", service: "s/svc-0001", instance: "s/svc-0001/i-0", root: "r/svc-0000", history: "history", maintenance: "maintenance", coordinator: "coordinator" };
const looks = [["light", 1280, 1000], ["dark", 390, 1400], ["dark", 1280, 1000], ["light", 390, 1400]];

/** What a person could not read: the width of the page, and texts that are cut off without a sign. */
const cutOff = (page) => page.evaluate(() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const wide = scrollWidth > clientWidth ? [`the page is ${scrollWidth} px wide`] : [];
  if (document.querySelector("h1") === null) wide.push("no h1");
  return wide.concat([...document.querySelectorAll("body *")].filter((e) => {
    const s = getComputedStyle(e);
    // What only screen readers read is one pixel wide.
    if (s.overflowX !== "hidden" || s.textOverflow === "ellipsis" || e.clientWidth <= 1 || e.textContent.trim() === "") return false;
    return e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1;
  }).map((e) => `${e.localName}.${e.getAttribute("class")} cuts off ${e.textContent.slice(0, 40)}`));
});

/** Replaces ages and clocks by fixed texts, for good, and hides what moves with the time. */
const mask = (page) => page.evaluate(() => {
  const times = /\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d)?|\b\d+(\.\d+)? ?(ms|µs|[dhms])(\d+[hms])?\b/g;
  const replace = () => {
    for (const e of document.querySelectorAll("time, .indicator, .banner.lost")) if (e.textContent !== "0s") e.textContent = "0s";
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let n = texts.nextNode(); n; n = texts.nextNode()) if (n.data !== n.data.replace(times, "0s")) n.data = n.data.replace(times, "0s");
  };
  for (const e of document.querySelectorAll(".toast, .timeline, .histogram, .chart")) e.style.visibility = "hidden";
  new MutationObserver(replace).observe(document.body, { subtree: true, childList: true, characterData: true });
  replace();
});

/** The part of the pixels that differ. */
const differ = (reader, pictures) => reader.evaluate(async (pictures) => {
  const [a, b] = await Promise.all(pictures.map(async (p) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${p}`)).blob());
    const c = new OffscreenCanvas(image.width, image.height).getContext("2d");
    c.drawImage(image, 0, 0);
    return new Uint32Array(c.getImageData(0, 0, image.width, image.height).data.buffer);
  }));
  return a.length === b.length ? a.filter((v, i) => v !== b[i]).length / a.length : 1;
}, pictures.map((p) => p.toString("base64")));

for (const state of ["well", "incident", "lost"]) {
  test(`G12: pictures of all pages: ${state}`, async (t) => {
    const rig = await startRig(t, { amnesty: -1 });
    await rig.register(registrations(12, 3));
    await rig.depend({ "svc-0001": { hard: ["svc-0000"] }, "svc-0002": { hard: ["svc-0001"], soft: ["svc-0003"] } });
    await rig.report([], "SERVING", { checks: [{ name: "db", status: "STATUS_SERVING", passes: 3 }] });
    if (state !== "well") {
      await rig.report(["svc-0000/i-0", "svc-0000/i-1", "svc-0000/i-2"], "NOT_SERVING", { reason: "the disk is full" });
      await rig.report(["svc-0001/i-0", "svc-0001/i-1", "svc-0001/i-2"], "NOT_SERVING", { reason: "svc-0000 fails" });
    }
    const proxy = await startProxy(t, rig.http);
    const browser = await startChromium(t);
    const reader = await openPage(browser, "about:blank");
    const page = await openPage(browser, "about:blank");
    const open = async (path) => {
      proxy.mode = "pass";
      await page.goto(`${proxy.http}/ui/${path}`);
      await page.waitForFunction(() => document.documentElement.dataset.connection === "live" && document.querySelector("main h1") !== null && document.querySelector("[aria-busy=true]") === null);
      if (state !== "lost") return;
      await rest(page); // What the view asks for has arrived.
      proxy.mode = "refuse";
      proxy.cut();
      await page.waitForSelector(".banner.lost", { timeout: 20_000 });
    };
    const show = async ([colorScheme, width, height]) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
    };
    mkdirSync(`${shots}/pages`, { recursive: true });
    for (const [i, [name, path]] of Object.entries(pages).entries()) {
      await open(path);
      // The last look is the one that is compared.
      const order = [...looks.slice(i % 4), ...looks.slice(0, i % 4)];
      for (const look of order) {
        await show(look);
        assert.deepEqual(await cutOff(page), [], `${name}, ${state}, ${look}`);
        await page.screenshot({ path: `${shots}/pages/${name}-${state}-${look[1]}-${look[0]}.png` });
      }
      await mask(page);
      const first = await page.screenshot();
      await open(path);
      await mask(page);
      await until(`${name}, ${state}, ${order[3]}: it looks the same when it is opened again`, 10, async () => (await differ(reader, [first, await page.screenshot()])) <= 0.001);
    }
    assert.deepEqual(state === "lost" ? page.errors.filter((e) => !/ERR_/.test(e)) : page.errors, []);
    t.diagnostic(`G12: ${Object.keys(pages).length * looks.length} pictures are in ${shots}/pages`);
  });
}
