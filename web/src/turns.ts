// Decides when the texts of the page follow the entries: at once while little changes, and one after the
// other in a storm, so that no animation frame has to make all of them.

/** One part of the page that makes its texts again when it is told. */
interface Turn {
  readonly tell: () => void;
  /** The shortest time between two turns, in ms. */
  readonly period: number;
  /** Something has changed since its last turn, which was at `at`. */
  due: boolean;
  at: number;
  /** How long its last turn took, with layout and paint, in ms. */
  cost: number;
}

/** The shortest time between two turns of one part in a storm, in ms. Nobody can read faster. */
const stormPeriod = 250;
/** In a storm a part takes at most one part of this many of the time, so that a slow computer draws smoothly. */
const share = 16;
/** Not even a slow computer waits longer than this, in ms. */
const longestPeriod = 1000;

/** The time and the animation frames, which tests replace. */
export interface Clock {
  now(): number;
  wait(ms: number, then: () => void): void;
  frame(then: () => void): void;
}

const realClock: Clock = {
  now: () => performance.now(),
  wait: (ms, then) => void setTimeout(then, ms),
  frame: (then) => void requestAnimationFrame(then),
};

/** The turns of all parts of the page. */
export class Turns {
  /** Grows with each change. */
  count = 0;
  private readonly all = new Set<Turn>();
  private storm = false;
  private planned = false;

  constructor(private readonly clock = realClock) {}

  /** Adds a part that has made its texts when `count` was `seen`. The result removes it. */
  add(tell: () => void, period: number, seen = this.count): () => void {
    const turn: Turn = { tell, period, due: seen !== this.count, at: -Infinity, cost: 0 };
    this.all.add(turn);
    this.plan();
    return () => this.all.delete(turn);
  }

  /** Says that something has changed. It must be called in an animation frame. */
  changed(storm: boolean): void {
    this.storm = storm;
    this.count++;
    for (const t of this.all) t.due = true;
    if (!storm) for (const t of this.all) if (this.ready(t) <= this.clock.now()) this.give(t);
    this.plan();
  }

  private ready(t: Turn): number {
    return t.at + Math.max(t.period, this.storm ? Math.max(stormPeriod, Math.min(longestPeriod, share * t.cost)) : 0);
  }

  private give(t: Turn): void {
    t.due = false;
    t.at = this.clock.now();
    t.tell();
    this.clock.wait(0, () => (t.cost = this.clock.now() - t.at)); // after the paint
  }

  /** Plans the next turn: it has an animation frame of its own. */
  private plan(): void {
    const next = this.next();
    if (this.planned || !next) return;
    this.planned = true;
    const go = (): void => {
      this.planned = false;
      const due = this.next();
      if (due && this.ready(due) <= this.clock.now()) this.give(due);
      this.plan();
    };
    const wait = this.ready(next) - this.clock.now();
    if (wait > 0) this.clock.wait(wait, () => this.clock.frame(go));
    else this.clock.frame(go);
  }

  /** The part that may have its turn first. */
  private next(): Turn | undefined {
    let next: Turn | undefined;
    for (const t of this.all) if (t.due && (!next || this.ready(t) < this.ready(next))) next = t;
    return next;
  }
}
