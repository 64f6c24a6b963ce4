import assert from "node:assert/strict";
import { test } from "node:test";
import { inSlices, whole, type Work } from "../src/work";

/** Counts to n, and spends some time with each number. */
function* counting(n: number, ms: number, seen: number[] = []): Work<number> {
  for (let i = 0; i < n; i++) {
    for (const end = performance.now() + ms; performance.now() < end; );
    seen.push(i);
    yield;
  }
  return n;
}

test("work is done at once, or in slices with frames between", (t) => {
  assert.equal(whole(counting(5, 0)), 5);
  const frames: (() => void)[] = [];
  Object.assign(globalThis, { requestAnimationFrame: (f: () => void) => frames.push(f), cancelAnimationFrame: (n: number) => (frames[n - 1] = () => undefined) });
  t.after(() => Object.assign(globalThis, { requestAnimationFrame: undefined, cancelAnimationFrame: undefined }));
  const results: number[] = [];
  const seen: number[] = [];
  inSlices(counting(8, 2, seen), (n) => results.push(n));
  assert.deepEqual(seen, []); // nothing before the first frame
  let passed = 0;
  for (; results.length === 0; passed++) frames[passed]!();
  assert.deepEqual([results, seen.length], [[8], 8]);
  assert.ok(passed >= 3, `${passed} frames`); // 16 ms of work, and slices of about 3 ms
  assert.equal(frames.length, passed);

  const stopped: number[] = [];
  const stop = inSlices(counting(8, 2, stopped), () => assert.fail("it was stopped"));
  frames[passed]!();
  const before = stopped.length;
  stop();
  frames.at(-1)!();
  assert.deepEqual([before > 0, stopped.length], [true, before]);
});
