import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, Turns } from "../src/turns";

/** A clock whose animation frames come every 16 ms. */
class Frames implements Clock {
  private time = 0;
  private waiting: { at: number; then: () => void }[] = [];
  now(): number {
    return this.time;
  }
  wait(ms: number, then: () => void): void {
    this.waiting.push({ at: this.time + ms, then });
  }
  frame(then: () => void): void {
    this.wait(16 - (this.time % 16), then);
  }
  /** Lets the time pass without a frame. */
  work(ms: number): void {
    this.time += ms;
  }
  /** Lets the time pass, and calls `each` in every frame. */
  run(ms: number, each: () => void = () => undefined): void {
    let frame = Math.floor(this.time / 16);
    for (const end = this.time + ms; this.time < end; ) {
      this.time++;
      const due = this.waiting.filter((w) => w.at <= this.time);
      this.waiting = this.waiting.filter((w) => w.at > this.time);
      if (Math.floor(this.time / 16) > frame) each();
      frame = Math.floor(this.time / 16);
      for (const { then } of due) then();
    }
  }
  get idle(): boolean {
    return this.waiting.length === 0;
  }
}

/** Some parts that record the times of their turns. */
const parts = (turns: Turns, clock: Clock, ...periods: number[]): number[][] =>
  periods.map((period) => {
    const told: number[] = [];
    turns.add(() => told.push(clock.now()), period);
    return told;
  });

test("while little changes, parts follow at once or at most once in their period", () => {
  const clock = new Frames();
  const turns = new Turns(clock);
  const [quick, slow] = parts(turns, clock, 0, 250);
  clock.run(1600, () => turns.changed(false));
  assert.equal(quick!.length, 100);
  assert.ok(slow!.length >= 6 && slow!.length <= 7, `${slow!.length} turns`);
});

test("in a storm each part has a frame of its own, four times a second at most", () => {
  const clock = new Frames();
  const turns = new Turns(clock);
  const all = parts(turns, clock, 0, 0, 0, 250, 250, 1000);
  clock.run(4000, () => turns.changed(true));
  const times = all.flat();
  assert.equal(new Set(times).size, times.length); // no two in one frame
  assert.deepEqual(all.map((told) => told.length >= 3 && told.length <= 17), all.map(() => true), all.map((told) => told.length).join());
  for (const told of all.slice(0, 5)) {
    assert.ok(told.length >= 13, `${told.length} turns`);
    for (let i = 1; i < told.length; i++) assert.ok(told[i]! - told[i - 1]! >= 250);
  }
  assert.ok(all[5]!.length <= 5);
});

test("in a storm an expensive part has fewer turns", () => {
  const clock = new Frames();
  const turns = new Turns(clock);
  const [cheap] = parts(turns, clock, 0);
  let dear = 0;
  turns.add(() => {
    dear++;
    clock.work(40); // its texts take so long
  }, 0);
  clock.run(8000, () => turns.changed(true));
  assert.ok(cheap!.length >= 24, `${cheap!.length} turns`);
  assert.ok(dear >= 8 && dear <= 13, `${dear} turns`); // 16 × 40 ms = 640 ms
});

test("after the last change each part has one more turn, and then nothing is planned", () => {
  const clock = new Frames();
  const turns = new Turns(clock);
  const all = parts(turns, clock, 0, 250, 1000);
  clock.run(320, () => turns.changed(true));
  const last = clock.now();
  clock.run(2000);
  for (const told of all) assert.ok(told.at(-1)! >= last - 16, `${told.join()}, last change at ${last}`);
  const before = all.map((told) => told.length);
  assert.ok(clock.idle);
  clock.run(2000);
  assert.deepEqual(all.map((told) => told.length), before);
});

test("a part that is new is told only of what it has not seen, and a removed one of nothing", () => {
  const clock = new Frames();
  const turns = new Turns(clock);
  turns.changed(false);
  const told: string[] = [];
  const seen = turns.count;
  turns.add(() => told.push("seen"), 0, seen);
  turns.changed(false);
  turns.add(() => told.push("missed"), 0, seen);
  const remove = turns.add(() => told.push("removed"), 0, seen);
  remove();
  clock.run(100);
  assert.deepEqual(told, ["seen", "missed"]);
});
