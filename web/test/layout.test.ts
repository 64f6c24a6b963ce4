import assert from "node:assert/strict";
import { test } from "node:test";
import { type Edge, layout } from "../src/layout";

const edge = (text: string): Edge => ({ from: text[0]!, to: text[1]!, soft: text[2] === "?" });
const places = (l: ReturnType<typeof layout>): Record<string, string> => Object.fromEntries(l.nodes.map((n) => [n.id, `${n.column},${n.row}`]));

test("a node stands right of all its causes", () => {
  const l = layout(["d", "a", "b", "c"], ["ab", "bc", "ac", "cd", "ad"].map(edge));
  assert.deepEqual(places(l), { a: "0,0", b: "1,0", c: "2,0", d: "3,0" });
  assert.equal(l.edges.length, 5);
});

test("a column is ordered by its causes, then by name", () => {
  const l = layout(["a", "b", "z", "y", "x"], ["az", "by", "ax"].map(edge));
  assert.deepEqual(places(l), { a: "0,0", b: "0,1", x: "1,0", z: "1,1", y: "1,2" });
});

test("nodes keep their order when others come and go", () => {
  const first = layout(["r", "b", "c", "d"], ["rb", "rc", "rd"].map(edge));
  const second = layout(["r", "a", "b", "d"], ["ra", "rb", "rd"].map(edge), first);
  assert.deepEqual(second.nodes.filter((n) => n.column === 1).map((n) => n.id), ["a", "b", "d"]);
  const third = layout(["r", "d", "b", "a"], ["ra", "rb", "rd"].map(edge), second);
  assert.deepEqual(places(third), places(second));
});

test("a long edge goes through places without a node", () => {
  const l = layout(["a", "b", "c", "d"], ["ab", "bc", "cd", "ad?", "ac"].map(edge));
  const via = (to: string): string => l.edges.find((e) => e.from === "a" && e.to === to)!.via.map((p) => `${p.column},${p.row}`).join(" ");
  assert.deepEqual([via("b"), via("c"), via("d")], ["", "1,1", "1,1 2,1"]); // the edges of a share their way
  const taken = new Set(l.nodes.map((n) => `${n.column},${n.row}`));
  assert.ok(l.edges.every((e) => e.via.every((p) => !taken.has(`${p.column},${p.row}`))));
});

test("a cycle, a loop and an edge to an unknown name do no harm", () => {
  const l = layout(["a", "b", "c"], ["ab", "bc", "ca", "aa", "xq"].map(edge));
  assert.equal(l.nodes.length, 3);
  assert.deepEqual(new Set(l.nodes.map((n) => n.id)), new Set(["a", "b", "c"]));
});

test("at most 60 nodes are drawn, and the others are folded by column", () => {
  const names = ["root", ...Array.from({ length: 96 }, (_, i) => `s${i}`), "far"];
  const edges: Edge[] = [];
  for (let i = 0; i < 96; i++) edges.push({ from: "root", to: `s${i}`, soft: i % 2 === 0 }, { from: `s${i}`, to: "far", soft: true });
  const l = layout(names, edges);
  assert.ok(l.nodes.length <= 60);
  const shown = l.nodes.reduce((n, one) => n + Math.max(1, one.folded.length), 0);
  assert.equal(shown, names.length);
  const fold = l.nodes.find((n) => n.folded.length > 0)!;
  assert.equal(l.nodes.length - 2 - 1 + fold.folded.length, 96);
  assert.ok(l.nodes.some((n) => n.id === "s0") && fold.folded.includes("s95")); // the first of `names` stay
  assert.equal(fold.row, l.rows - 1);
  // Many edges became one, and the hard one shows.
  assert.deepEqual(l.edges.filter((e) => e.to === fold.id), [{ from: "root", to: fold.id, soft: false, via: [] }]);
});

test("a long chain ends in one folded node", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `n${i}`);
  const l = layout(names, names.slice(1).map((to, i) => ({ from: names[i]!, to, soft: false })));
  assert.equal(l.nodes.length, 60);
  assert.equal(l.nodes[59]!.folded.length, 20_000 - 59);
  assert.deepEqual(layout([], []), { nodes: [], edges: [], columns: 0, rows: 0 });
});

test("every layout of random graphs is complete, within bounds, and no two nodes share a place", () => {
  let seed = 1;
  const random = (n: number): number => ((seed = (seed * 48271) % 2147483647) % n);
  let before: ReturnType<typeof layout> | undefined;
  for (let round = 0; round < 300; round++) {
    const names = Array.from({ length: random(90) }, (_, i) => `s${(i * 7) % 100}`);
    const edges = Array.from({ length: random(200) }, () => ({ from: `s${random(100)}`, to: `s${random(100)}`, soft: random(2) === 0 }));
    const l = layout(names, edges, before);
    before = l;
    assert.ok(l.nodes.length <= 60);
    assert.equal(new Set(l.nodes.map((n) => `${n.column},${n.row}`)).size, l.nodes.length);
    assert.deepEqual(l.nodes.flatMap((n) => (n.folded.length > 0 ? [...n.folded] : [n.id])).sort(), [...new Set(names)].sort());
    const ids = new Set(l.nodes.map((n) => n.id));
    assert.ok(l.edges.every((e) => ids.has(e.from) && ids.has(e.to)));
    const taken = new Set(l.nodes.map((n) => `${n.column},${n.row}`));
    assert.ok(l.edges.every((e) => e.via.every((p) => !taken.has(`${p.column},${p.row}`) && p.row < l.rows)));
  }
});
