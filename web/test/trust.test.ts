import assert from "node:assert/strict";
import { test } from "node:test";
import type { GetCoordinatorResponseJson } from "../src/gen/meshhealth/v1/admin_pb";
import { trustOf } from "../src/trust";

const noon = Date.UTC(2026, 2, 2, 12);
const well: GetCoordinatorResponseJson = { status: "STATUS_SERVING", pollCoverage: 1, uptime: "86400s" };
const doubts = (c: GetCoordinatorResponseJson, state: "live" | "reading" | "lost" = "live"): string[] => trustOf({ ...well, ...c }, { state, quiet: 23_000 }, noon).filter((f) => !f.ok).map((f) => f.text);

test("a coordinator that is well raises no doubt", () => {
  assert.deepEqual(doubts({}), []);
  assert.ok(trustOf(well, { state: "live", quiet: 0 }, noon).length >= 5);
});

test("each reason for doubt is said", () => {
  for (const [c, want] of [
    [{ status: "STATUS_DEGRADED", reason: "a guard" }, "The coordinator says that it is DEGRADED: a guard."],
    [{ pollCoverage: 0.873 }, "It makes only 87 % of its polls in time, so some statuses are older than they should be."],
    [{ score: 2 }, "Its doubt about itself is 2 of 7, so its time-outs are 3 times as long."],
    [{ guards: [{ zone: "eu-1", known: 40, doubted: 38, since: "2026-03-02T11:59:00Z" }] }, "A guard is tripped since 1m: 38 of 40 instances of zone eu-1 cannot be reached. Their statuses are held, not judged."],
    [{ amnestyUntil: "2026-03-02T12:00:30Z", uptime: "15s" }, "It started 15s ago. Statuses from before are unconfirmed for 30s more."],
    [{ unconfirmed: 1 }, "1 instance cannot be confirmed at the moment."],
    [{ forgivenAge: "12s" }, "It was late itself 12s ago, and gave every instance that much more time."],
    [{ storeError: "no space left" }, "The store takes no records: no space left. The history has a gap from then on."],
    [{ storeCommitAge: "4.2s" }, "The store is slow: its present commit takes 4s so far."],
    [{ storeLost: "1204" }, "1,204 records of the history were lost since the start."],
    [{ floodingInstances: ["pay/a"] }, "One instance sends too many messages; only the latest of each second is used: pay/a."],
  ] as const) assert.deepEqual(doubts(c as GetCoordinatorResponseJson), [want]);
  assert.deepEqual(doubts({}, "lost"), ["The page has received nothing for 23s. It shows what was last received."]);
  assert.deepEqual(doubts({}, "reading"), ["The page is reading everything again, and shows what it had before."]);
});

test("an amnesty that has ended and a delay of long ago raise no doubt", () => {
  assert.deepEqual(doubts({ amnestyUntil: "2026-03-02T11:00:00Z", forgivenAge: "3600s" }), []);
});
