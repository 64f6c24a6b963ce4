import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeOf, upOf } from "../src/counts";
import { type Entry, entryOf, Status } from "../src/entry";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { Mesh } from "../src/mesh";
import { othersOf, rootsOf, whyIn, worseFirst, worstOf } from "../src/rank";
import { whole } from "../src/work";

const meshOf = (entries: readonly HealthJson[]): Mesh => {
  const m = new Mesh();
  m.apply({ snapshot: true, revision: 1, entries });
  return m;
};

const bad = { serving: 1, notServing: 2 };
const trouble: HealthJson[] = [
  { service: "db", status: "STATUS_NOT_SERVING", affected: 2, counts: { notServing: 1 } },
  { service: "pay", status: "STATUS_DEGRADED", root: "db", counts: bad },
  { service: "shop", status: "STATUS_NOT_SERVING", root: "db", counts: bad },
  { service: "search", status: "STATUS_DEGRADED", counts: bad },
  { service: "geo", counts: { unknown: 2 } },
  { service: "mail", status: "STATUS_MAINTENANCE" },
  { service: "chat", status: "STATUS_SERVING", counts: { serving: 3, degraded: 1, draining: 1, unconfirmed: 2 } },
  { service: "orphan", status: "STATUS_DEGRADED", root: "gone" },
];

test("a root comes with what it affects, and the others do not contain it", () => {
  const m = meshOf(trouble);
  const roots = rootsOf(m);
  assert.deepEqual(roots.map((r) => [r.entry.name, r.services.map((e) => e.name), r.instances]), [["db", ["pay", "shop"], 4]]);
  assert.deepEqual(othersOf(m, roots).map((e) => e.name), ["geo", "search"]);
});

test("roots are in the order of what they affect", () => {
  const m = meshOf([...trouble, { service: "cache", status: "STATUS_DEGRADED" }, ...["a", "b", "c"].map((service): HealthJson => ({ service, root: "cache" }))]);
  assert.deepEqual(rootsOf(m).map((r) => r.entry.name), ["cache", "db"]);
});

test("the worst first, then by name", () => {
  const m = meshOf([...trouble, { service: "also", status: "STATUS_SERVING", unconfirmed: true }, { service: "forced", status: "STATUS_SERVING", override: {} }, { service: "new", status: "STATUS_STARTING" }]);
  const names = whole(worstOf(m, () => true)).map((e) => e.name);
  assert.deepEqual(names, ["db", "shop", "geo", "new", "mail", "orphan", "pay", "search", "also", "forced", "chat"]);
  assert.deepEqual([...m.entries.values()].sort(worseFirst).map((e) => e.name), names);
  m.apply({ snapshot: false, revision: 2, entries: [{ service: "db", removed: true }, { service: "zoo", status: "STATUS_NOT_SERVING" }] });
  assert.deepEqual(whole(worstOf(m, (e) => e.status === Status.NotServing)).map((e) => e.name), ["shop", "zoo"]);
});

test("numbers are those of the coordinator", () => {
  const m = meshOf([...trouble, { service: "chat", instance: "a" }]);
  assert.deepEqual(sizeOf(m), { services: 8, instances: 1, unconfirmed: 2 });
  assert.equal(upOf(m.entries.get("chat")!), "4/5");
  assert.equal(upOf(entryOf({ service: "chat", instance: "a" }) as Entry), "");
});

test("a service in trouble says why its worst instance is", () => {
  const m = meshOf([
    { service: "db", status: "STATUS_DEGRADED", reason: "1 of 3 routable" }, { service: "db", instance: "a", status: "STATUS_DEGRADED", reason: "slow" },
    { service: "db", instance: "b", status: "STATUS_NOT_SERVING", cause: "CAUSE_REFUSED" }, { service: "db", instance: "c", status: "STATUS_SERVING", reason: "fine" },
    { service: "pay", status: "STATUS_SERVING", reason: "1 of 1 routable" }, { service: "pay", instance: "a", status: "STATUS_SERVING", reason: "fine" },
    { service: "geo", reason: "0 of 0 routable" },
  ]);
  const why = (name: string): string => whyIn(m, m.entries.get(name)!);
  assert.deepEqual(["db", "db/a", "pay", "geo"].map(why), ["refused", "slow", "1 of 1 routable", "0 of 0 routable"]);
});
