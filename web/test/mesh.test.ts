import assert from "node:assert/strict";
import { test } from "node:test";
import { Status } from "../src/entry";
import { Mesh } from "../src/mesh";

test("a batch changes, adds and removes entries", () => {
  const mesh = new Mesh();
  mesh.apply({ snapshot: true, revision: 1, entries: [{ service: "pay", instance: "a", status: "STATUS_SERVING" }, { service: "pay" }] });
  assert.equal(mesh.entries.get("pay")?.status, Status.Unknown); // proto JSON omits UNKNOWN
  const changes = mesh.apply({
    snapshot: false, revision: 2,
    entries: [{ service: "pay", instance: "a", status: "STATUS_NOT_SERVING" }, { service: "pay", instance: "b", status: "STATUS_SERVING" }],
  });
  assert.deepEqual(changes, ["pay/a", "pay/b"]);
  assert.deepEqual(changes.map((name) => mesh.entries.get(name)?.status), [Status.NotServing, Status.Serving]);
  mesh.apply({ snapshot: false, revision: 3, entries: [{ service: "pay", instance: "a", removed: true }] });
  assert.deepEqual([...(mesh.instancesOf.get("pay") ?? [])], ["pay/b"]);
});

test("a snapshot removes what it does not contain", () => {
  const mesh = new Mesh();
  mesh.apply({ snapshot: true, revision: 1, entries: [{ service: "pay", instance: "a" }, { service: "shop", instance: "a" }] });
  const changes = mesh.apply({ snapshot: true, revision: 9, entries: [{ service: "shop", instance: "a" }] });
  assert.deepEqual(changes.filter((name) => !mesh.entries.has(name)), ["pay/a"]);
  assert.equal(mesh.instancesOf.has("pay"), false);
});

test("an entry shares texts and labels with the one before, but only equal ones", () => {
  const mesh = new Mesh();
  const labels = (...of: [string, string][]): Record<string, string> => Object.fromEntries(of);
  const cases = [labels(["a", "1"]), labels(["a", "1"]), labels(["a", "2"]), labels(["a", "2"], ["b", "1"]), labels(["b", "1"]), labels(["c", "1"]), labels(), labels(["toString", "x"])];
  for (const [i, of] of cases.entries()) {
    mesh.apply({ snapshot: false, revision: i, entries: [{ service: "pay", instance: "a", zone: `z${i >> 1}`, reason: i % 3 === 0 ? "" : "down", labels: of }] });
    const e = mesh.entries.get("pay/a")!;
    assert.deepEqual([e.zone, e.reason, { ...e.labels }], [`z${i >> 1}`, i % 3 === 0 ? "" : "down", of]);
  }
});
