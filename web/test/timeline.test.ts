import assert from "node:assert/strict";
import { test } from "node:test";
import { type Entry, entryOf } from "../src/entry";
import type { TransitionJson } from "../src/gen/meshhealth/v1/admin_pb";
import { burstsOf, histogram, segmentsOf, ticks } from "../src/timeline";
import { type Transition, transitionOf } from "../src/transition";

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
const record = (seconds: number, t: TransitionJson = {}): Transition => transitionOf({ service: "pay", instance: "a", at: iso(seconds), ...t });
const change = (seconds: number, from: TransitionJson["from"], to: TransitionJson["to"]): Transition => record(seconds, { from: from!, to: to! });
const gap = (seconds: number, lost = "5"): Transition => transitionOf({ at: iso(seconds), lost });
const now = (status: "STATUS_SERVING" | "STATUS_NOT_SERVING", since: number): Entry => entryOf({ service: "pay", instance: "a", status, since: iso(since) })!;
/** A short text for each segment: times in seconds, the number of the status, and ! if it is torn. */
const text = (segments: ReturnType<typeof segmentsOf>): string =>
  segments.map((s) => `${s.from / 1000}-${s.to / 1000}:${s.status ?? "-"}${s.torn ? "!" : ""}`).join(" ");

test("segments cover the whole range", () => {
  const up = change(30, "STATUS_NOT_SERVING", "STATUS_SERVING");
  const down = change(20, "STATUS_SERVING", "STATUS_NOT_SERVING");
  for (const [want, records, entry, oldest] of [
    ["10-100:1", [], now("STATUS_SERVING", 5), 0],
    ["10-20:1 20-30:2 30-100:1", [up, down], now("STATUS_SERVING", 30), 0],
    // Registered at 40: before that it did not exist.
    ["10-40:- 40-100:1", [], now("STATUS_SERVING", 40), 0],
    // The oldest record is younger than the range, but the status has held for longer.
    ["10-15:- 15-20:1 20-30:2 30-100:1", [up, down], now("STATUS_SERVING", 30), 15_000],
    ["10-100:1", [], now("STATUS_SERVING", 5), 50_000],
    // Records after the range give the status at its end.
    ["10-20:1 20-100:2", [change(150, "STATUS_NOT_SERVING", "STATUS_SERVING"), down], now("STATUS_SERVING", 150), 0],
    // A gap makes what is before it uncertain, up to the next record.
    ["10-20:1 20-25:2! 25-30:2 30-100:1", [up, gap(25), down], now("STATUS_SERVING", 30), 0],
    ["10-30:2! 30-100:1", [up, gap(30)], now("STATUS_SERVING", 30), 0],
    // A status that has held since before the gap is certain.
    ["10-100:1", [gap(50)], now("STATUS_SERVING", 5), 0],
    ["10-60:-! 60-100:-", [gap(60)], undefined, 0],
    ["10-20:-! 20-40:- 40-100:1", [gap(20)], now("STATUS_SERVING", 40), 0],
  ] as const) {
    assert.equal(text(segmentsOf(records, entry, 10_000, 100_000, oldest)), want);
  }
});

test("a removed name ends with its removal", () => {
  const removal = record(40, { from: "STATUS_DRAINING", to: "STATUS_DRAINING", removed: true });
  const again = record(60, { from: "STATUS_STARTING", to: "STATUS_SERVING" });
  assert.equal(text(segmentsOf([removal], undefined, 10_000, 100_000, 0)), "10-40:6 40-100:-");
  assert.equal(text(segmentsOf([again, removal], now("STATUS_SERVING", 60), 10_000, 100_000, 0)), "10-40:6 40-60:5 60-100:1");
});

test("an aggregate did not exist before its first record", () => {
  const first = record(40, { instance: "", from: "STATUS_UNKNOWN", to: "STATUS_STARTING" });
  const next = record(50, { instance: "", from: "STATUS_STARTING", to: "STATUS_SERVING" });
  assert.equal(text(segmentsOf([next, first], now("STATUS_SERVING", 50), 10_000, 100_000, 1)), "10-40:- 40-50:5 50-100:1");
  assert.equal(text(segmentsOf([next, first], now("STATUS_SERVING", 50), 10_000, 100_000, 40_000)), "10-40:- 40-50:5 50-100:1");
});

test("a histogram counts changes and lost records", () => {
  const records = [gap(95, "7"), record(94), record(50), record(10), record(5), record(40, { action: "ACTION_OVERRIDE_SET" })];
  assert.deepEqual(histogram(records, 10_000, 100_000, 3).map((b) => [b.changes, b.lost]), [[1, 0], [1, 0], [1, 7]]);
  assert.equal(histogram([record(100)], 10_000, 100_000, 9)[8]!.changes, 1);
});

test("bursts are changes of instances without a pause", () => {
  const service = transitionOf({ service: "pay", at: iso(21) });
  const records = [record(60), record(59.5), record(22), record(21.5), service, record(21), record(20.2), record(3), record(2.5), record(2)];
  assert.deepEqual(burstsOf(records, 5).map((b) => [b.from, b.to, b.changes.length]), [[20_200, 22_000, 4], [2_000, 3_000, 3]]);
  assert.equal(burstsOf(records, 1).length, 1);
});

test("ticks are at round times of the zone, and not too many", () => {
  const t = ticks(Date.UTC(2026, 2, 2, 11, 4, 31), Date.UTC(2026, 2, 2, 12, 4, 31), 6);
  assert.deepEqual(t.map((x) => x.label), ["11:10", "11:20", "11:30", "11:40", "11:50", "12:00"]);
  assert.equal(ticks(Date.UTC(2026, 2, 2, 12), Date.UTC(2026, 2, 2, 12, 0, 9), 10, 19_800_000)[0]!.label, "17:30:00");
  for (const span of [1, 1_000, 60_000, 3_600_000, 86_400_000, 400 * 86_400_000]) assert.ok(ticks(123_456_789, 123_456_789 + span, 8).length <= 8);
});
