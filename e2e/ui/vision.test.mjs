// G12: the statuses of the field can be told apart by shape alone, and no page is cut off at any width, in any
// colours and in any state. The pictures are for people: they depend on the fonts and the browser of the machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { live, rest } from "./browser.mjs";
import { figure, openPage, registrations, startChromium, startOracle, startRig, until } from "./rig.mjs";

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
