import assert from "node:assert/strict";
import { test } from "node:test";
import { Asker } from "../src/asker";
import { FakeTimers, settle } from "./fakes";

/** A question whose answers come when the test says so. */
const rig = (): { asker: Asker; timers: FakeTimers; asked: { signal: AbortSignal; answer(): void }[] } => {
  const timers = new FakeTimers();
  const asked: { signal: AbortSignal; answer(): void }[] = [];
  const asker = new Asker((signal) => new Promise((resolve) => asked.push({ signal, answer: () => resolve(undefined) })), timers);
  return { asker, timers, asked };
};

test("an answer that takes longer than the next change is not thrown away", async () => {
  const { asker, timers, asked } = rig();
  asker.want();
  await timers.advance(0);
  for (let i = 0; i < 8; i++) {
    await timers.advance(250);
    asker.want();
  }
  assert.deepEqual(asked.map((a) => a.signal.aborted), [false]);
  asked[0]!.answer();
  await timers.advance(0);
  assert.equal(asked.length, 2); // it has changed meanwhile
});

test("it is asked once a second at most, and once more after the last change", async () => {
  const { asker, timers, asked } = rig();
  for (let i = 0; i < 35; i++) {
    asker.want();
    await timers.advance(100);
    asked.at(-1)!.answer();
    await settle();
  }
  assert.equal(asked.length, 4);
  await timers.advance(60_000);
  assert.equal(asked.length, 5);
});

test("a question that nobody answers is given up for the next one, and stop ends everything", async () => {
  const { asker, timers, asked } = rig();
  asker.want();
  await timers.advance(5001);
  asker.want();
  await timers.advance(0);
  assert.deepEqual(asked.map((a) => a.signal.aborted), [true, false]);
  asker.want();
  asker.stop();
  assert.equal(asked[1]!.signal.aborted, true);
  asked[1]!.answer();
  await timers.advance(60_000);
  assert.equal(asked.length, 2);
});
