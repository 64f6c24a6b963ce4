// Asks a question again and again, as what it is about changes.
import { realTimers, type Timers } from "./source";

/** The shortest time between two questions, in ms. */
const shortest = 1000;
/** A question that has no answer after this time is given up for the next one, in ms. */
const longest = 5000;

/**
 * One question. While an answer is awaited, no other one is asked: during a storm, the next change comes
 * sooner than the answer, which would otherwise never be shown.
 */
export class Asker {
  private timer: unknown;
  private running: AbortController | undefined;
  private wanted = false;
  private last = -Infinity;

  /** `ask` shows the answer unless the signal is aborted, and never rejects. */
  constructor(private readonly ask: (signal: AbortSignal) => Promise<void>, private readonly timers: Timers = realTimers) {}

  /** Asks as soon as it may. */
  want(): void {
    const since = this.timers.now() - this.last;
    if (this.running && since <= longest) {
      this.wanted = true;
      return;
    }
    this.running?.abort();
    this.timer ??= this.timers.set(Math.max(0, shortest - since), () => void this.run());
  }

  stop(): void {
    this.timers.clear(this.timer);
    this.running?.abort();
  }

  private async run(): Promise<void> {
    const mine = new AbortController();
    this.timer = undefined;
    this.running = mine;
    this.wanted = false;
    this.last = this.timers.now();
    await this.ask(mine.signal);
    if (mine.signal.aborted) return;
    this.running = undefined;
    if (this.wanted) this.want();
  }
}
