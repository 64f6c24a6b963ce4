import assert from "node:assert/strict";
import { test } from "node:test";
import { type Entry, entryOf } from "../src/entry";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { cellAt, groupsOf, layoutOf, nameAt } from "../src/groups";

const entry = (service: string, instance: string, more: HealthJson = {}): Entry => entryOf({ service, instance, status: "STATUS_SERVING", ...more }) as Entry;
const bad: HealthJson = { status: "STATUS_NOT_SERVING" };

const some = [
  entry("pay", "b", { zone: "eu-1" }), entry("pay", "a", { zone: "eu-2", ...bad }), entry("shop", "a", { zone: "eu-1", status: "STATUS_DEGRADED" }),
  entry("mail", "a", { labels: { team: "x" } }), entry("geo", "a", bad), entry("geo", "b", bad),
];

test("the worst group comes first, and instances are ordered by name", () => {
  assert.deepEqual(groupsOf(some, "service").map((g) => [g.value, g.names, g.unwell]), [
    ["geo", ["geo/a", "geo/b"], 2], ["pay", ["pay/a", "pay/b"], 1], ["shop", ["shop/a"], 1], ["mail", ["mail/a"], 0],
  ]);
  assert.deepEqual(groupsOf(some, "zone").map((g) => g.value), ["", "eu-2", "eu-1"]);
  assert.deepEqual(groupsOf(some, "label.team").map((g) => g.value), ["", "x"]);
});

test("groups keep their order, and new ones follow", () => {
  assert.deepEqual(groupsOf(some, "service", ["mail", "gone", "shop"]).map((g) => g.value), ["mail", "shop", "geo", "pay"]);
});

test("each cell has a place of its own, in the width that there is", () => {
  const sizes = [1, 7, 9, 40, 400];
  for (const width of [60, 320, 1240]) for (const groups of [1, 3, 90]) for (const size of sizes) {
    if (groups * size > 2000) continue;
    const all = Array.from({ length: groups }, (_, g) => Array.from({ length: size }, (_, i) => entry(`service-${g}`, `i${i}`))).flat();
    const l = layoutOf(groupsOf(all, "service"), width);
    const places = new Set<string>();
    for (const b of l.blocks) b.group.names.forEach((name, i) => {
      const { x, y } = cellAt(l, b, i);
      assert.ok(x >= 0 && x + l.cell <= width && y >= 0 && y + l.cell <= l.height, `${name} is at ${x}, ${y} of ${width}, ${l.height}`);
      assert.equal(nameAt(l, x + l.cell / 2, y + l.cell / 2), name);
      places.add(`${x} ${y}`);
    });
    assert.equal(places.size, all.length);
    assert.equal(nameAt(l, width + 50, 0), undefined);
  }
});
