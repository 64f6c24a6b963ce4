import { statuses } from "../src/entry";
import assert from "node:assert/strict";
import { test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { age, clockTime, look, plural, visible } from "../src/words";

test("an age has at most two units", () => {
  const ages: [number, string][] = [[0, "0s"], [999, "0s"], [1000, "1s"], [59_999, "59s"], [60_000, "1m"], [134_000, "2m14s"], [3_600_000, "1h"], [3_660_000, "1h1m"], [3_601_000, "1h"], [6 * 86_400_000 + 4 * 3_600_000 + 1, "6d4h"]];
  for (const [ms, text] of ages) assert.equal(age(ms), text);
  assert.match(clockTime(0), /^\d\d:00:00$/);
  assert.equal(plural(1, "service"), "1 service");
  assert.equal(plural(2000, "service"), "2,000 services");
});

test("each status has a shape of its own, and the worst comes first", () => {
  assert.equal(new Set(statuses.map((s) => look[s].glyph)).size, statuses.length);
  const ranks = statuses.map((s) => look[s].rank);
  assert.deepEqual(ranks, [...ranks].sort((a, b) => b - a));
});

test("characters that hide or rearrange text are shown", () => {
  assert.equal(visible("a\u0000\n\u001bb"), "a\u2400\u240a\u241bb");
  assert.equal(visible("\u202egnp.exe\u2066\u200f\u061c\u0085"), "\ufffdgnp.exe\ufffd\ufffd\ufffd\ufffd");
  assert.equal(visible("naïve 名前 💥"), "naïve 名前 💥");
});

test("no source puts text into the page as markup", () => {
  for (const name of readdirSync("src").filter((n) => /\.tsx?$/.test(n))) {
    const text = readFileSync(`src/${name}`, "utf8");
    for (const word of ["inner" + "HTML", "outer" + "HTML", "insertAdjacent" + "HTML", "dangerously", "document.write", "eval("]) {
      assert.ok(!text.includes(word), `${name} has ${word}`);
    }
  }
});
