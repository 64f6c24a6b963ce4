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
  assert.deepEqual(changes.map((c) => [c.name, c.before?.status, c.after?.status]), [["pay/a", 1, 2], ["pay/b", undefined, 1]]);
  mesh.apply({ snapshot: false, revision: 3, entries: [{ service: "pay", instance: "a", removed: true }] });
  assert.deepEqual([...(mesh.instancesOf.get("pay") ?? [])], ["pay/b"]);
});

test("a snapshot removes what it does not contain", () => {
  const mesh = new Mesh();
  mesh.apply({ snapshot: true, revision: 1, entries: [{ service: "pay", instance: "a" }, { service: "shop", instance: "a" }] });
  const changes = mesh.apply({ snapshot: true, revision: 9, entries: [{ service: "shop", instance: "a" }] });
  assert.deepEqual(changes.filter((c) => c.after === undefined).map((c) => c.name), ["pay/a"]);
  assert.equal(mesh.instancesOf.has("pay"), false);
});
