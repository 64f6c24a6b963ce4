import assert from "node:assert/strict";
import { test } from "node:test";
import { commonOf } from "../src/common";
import { type Entry, entryOf } from "../src/entry";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { whole } from "../src/work";

/** The first `bad` of `all` instances are in trouble. */
const instances = (all: number, bad: number, of: (i: number) => HealthJson): Entry[] =>
  Array.from({ length: all }, (_, i) => entryOf({ service: "s", instance: `i${i}`, ...(i < bad ? { status: "STATUS_NOT_SERVING" } : { status: "STATUS_SERVING" }), ...of(i) }) as Entry);

const words = (entries: readonly Entry[]): string[] => whole(commonOf(entries)).map((s) => `${s.key}=${s.value} ${s.unwell}/${s.allUnwell} ${s.well}/${s.allWell}`);

test("a bad version is found, with the numbers on both sides", () => {
  const all = instances(450, 38, (i) => ({ version: i < 38 ? "1.4.3" : "1.4.2", zone: i % 2 ? "a" : "b", labels: { pod: `p${i}`, env: "prod" }, cause: i < 38 ? "CAUSE_REFUSED" : "CAUSE_OK" }));
  assert.deepEqual(words(all), ["version=1.4.3 38/38 0/412", "cause=refused 38/38 0/0"]);
});

test("a zone, a label and a second are found", () => {
  assert.deepEqual(words(instances(90, 30, (i) => ({ zone: i < 28 ? "eu-1" : "eu-2" }))), ["zone=eu-1 28/30 0/60"]);
  assert.deepEqual(words(instances(10, 4, (i) => ({ labels: { team: i < 4 ? "core,web" : "" } }))), ["label.team=core,web 4/4 0/6"]);
  const at = (ms: number): string => new Date(ms).toISOString();
  assert.deepEqual(words(instances(8, 4, (i) => ({ since: at(i < 3 ? 5_000_100 + i : 9_000_000) }))), ["second=5000000 3/4 0/0"]);
});

test("nothing is common where nothing distinguishes", () => {
  const shared = (i: number): HealthJson => ({ version: "1", zone: i % 2 ? "a" : "b", labels: { env: "prod" } });
  assert.deepEqual(words(instances(20, 10, shared)), []); // the others have the same
  assert.deepEqual(words(instances(20, 2, (i) => ({ version: i < 2 ? "2" : "1" }))), []); // too few
  assert.deepEqual(words(instances(20, 20, shared)), []); // there are no others
  assert.deepEqual(words([]), []);
  assert.deepEqual(words(instances(20, 10, (i) => ({ version: i < 6 ? "2" : "1" }))), []); // only a part of those in trouble
});

test("labels with the names of methods are labels", () => {
  const all = instances(10, 4, (i) => ({ labels: { constructor: i < 4 ? "x" : "y", toString: "z" } }));
  assert.deepEqual(words(all), ["label.constructor=x 4/4 0/6"]);
});
