import assert from "node:assert/strict";
import { test } from "node:test";
import { blastOf, neighboursOf } from "../src/blast";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { Mesh } from "../src/mesh";

const service = (name: string, needs: string, more: HealthJson = {}): HealthJson => ({
  service: name, status: "STATUS_SERVING", dependencies: needs.split(" ").filter((n) => n !== "").map((n) => ({ service: n.replace("?", ""), soft: n.endsWith("?") })), ...more,
});
const meshOf = (...entries: HealthJson[]): Mesh => {
  const m = new Mesh();
  m.apply({ snapshot: true, revision: 1, entries });
  return m;
};
const second = (s: number): string => new Date(s * 1000).toISOString();
const failed = (root: string, s: number): HealthJson => ({ status: "STATUS_DEGRADED", root, firstFailure: second(s) });
const text = (edges: readonly { from: string; to: string; soft: boolean }[]): string => edges.map((e) => `${e.from}${e.soft ? "?" : ">"}${e.to}`).sort().join(" ");

test("a blast has the services whose root it is, in the order of failure", () => {
  const mesh = meshOf(
    service("db", "", { status: "STATUS_NOT_SERVING", firstFailure: second(1) }), service("ledger", "db", failed("db", 3)), service("cart", "db ledger?", failed("db", 2)),
    service("web", "cart", failed("db", 4)), service("mail", "db?"), service("lone", "", failed("db", 9)),
  );
  const b = blastOf(mesh, "db", false);
  assert.deepEqual(b.affected.map((e) => e.name), ["db", "cart", "ledger", "web", "lone"]);
  assert.equal(text(b.edges), "cart>web db>cart db>ledger db?lone ledger?cart");
  assert.equal(b.potential, false);
});

test("a root that is well shows what needs it", () => {
  const mesh = meshOf(service("db", ""), service("ledger", "db"), service("web", "ledger gone"), service("mail", "db?"));
  const b = blastOf(mesh, "db", false);
  assert.deepEqual([b.potential, b.names, text(b.edges)], [true, ["db", "ledger", "web"], "db>ledger ledger>web"]);
});

test("in the past the services in trouble count, because no root is known", () => {
  const mesh = meshOf(service("db", "", { status: "STATUS_NOT_SERVING" }), service("ledger", "db", { status: "STATUS_DEGRADED" }), service("web", "db"));
  assert.deepEqual(blastOf(mesh, "db", true).names, ["db", "ledger"]);
  assert.deepEqual(blastOf(mesh, "db", false).names, ["db"]);
});

test("a cycle of dependencies ends", () => {
  const mesh = meshOf(service("a", "b"), service("b", "a"));
  assert.deepEqual(blastOf(mesh, "a", false).names, ["a", "b"]);
});

test("neighbours are direct, and may be unknown to the mesh", () => {
  const mesh = meshOf(service("db", ""), service("ledger", "db gone?"), service("web", "ledger"), service("far", "web"));
  const n = neighboursOf(mesh, "ledger");
  assert.deepEqual([[...n.names].sort(), text(n.edges)], [["db", "gone", "ledger", "web"], "db>ledger gone?ledger ledger>web"]);
  assert.deepEqual(neighboursOf(mesh, "none"), { names: ["none"], edges: [] });
});
