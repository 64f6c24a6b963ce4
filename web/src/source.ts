// One Watch stream that is kept open: it resumes where it broke off, notices silence, and waits longer
// after each failure.
import type { WatchRequestJson, WatchResponseJson } from "./gen/meshhealth/v1/health_pb";
import { type CallError, callErrorOf, type Client, stream } from "./protocol";

/** The longest time between two messages that the stream asks for, in ms. */
export const heartbeat = 2000;
/** After this silence the stream counts as lost, in ms. So the page says within 2.5 heartbeats that it has no news. */
export const silence = 2.25 * heartbeat;
const firstWait = 500;
const longestWait = 15_000;
/** How long a refused stream waits before it asks again, in ms. A token or the button "retry" ends the wait. */
const refusedWait = 30_000;

export type SourceState = "connecting" | "reading" | "live" | "lost" | "forbidden";

/** What is known about the stream. Times are ms from now, because the clocks of two threads differ. */
export interface News {
  readonly state: SourceState;
  /** The time since the last message. */
  readonly quiet: number;
  /** The time until the next attempt, or 0. */
  readonly retryIn: number;
  readonly error: string;
  readonly needsToken: boolean;
}

/** What a Source tells. */
export interface SourceEvents {
  /** A message, as JSON and parsed. `first` is set on the first message of each stream. */
  message(text: string, message: WatchResponseJson, first: boolean): void;
  news(news: News): void;
}

/** The clock and the timers, which tests replace. */
export interface Timers {
  now(): number;
  set(ms: number, f: () => void): unknown;
  clear(timer: unknown): void;
  random(): number;
}

export const realTimers: Timers = {
  now: () => performance.now(),
  set: (ms, f) => setTimeout(f, ms),
  clear: (timer) => clearTimeout(timer as number),
  random: () => Math.random(),
};

/** A Watch stream. It does nothing before start, and nothing after stop. */
export class Source {
  private state: SourceState = "connecting";
  private error = "";
  private needsToken = false;
  private lastMessage: number;
  private retryAt = 0;
  private token = "";
  private failures = 0;
  private running: AbortController | undefined;
  private endWait: (() => void) | undefined;

  constructor(
    private readonly client: Client,
    private readonly request: WatchRequestJson,
    private readonly events: SourceEvents,
    private readonly timers: Timers = realTimers,
  ) {
    this.lastMessage = timers.now();
  }

  start(): void {
    if (this.running) return;
    // After a stop, for example of a tab in the background, what is known may be old.
    const quiet = this.timers.now() - this.lastMessage;
    if (this.state === "connecting") this.lastMessage = this.timers.now();
    if (quiet > heartbeat && (this.state === "live" || this.state === "reading")) this.state = "lost";
    this.running = new AbortController();
    void this.run(this.running.signal);
  }

  stop(): void {
    this.running?.abort();
    this.running = undefined;
    this.endWait?.();
  }

  /** Connects now instead of at the end of the wait. */
  retry(): void {
    this.failures = 0;
    this.endWait?.();
  }

  /** Connects as another caller, who may read other names: everything is read again. */
  restart(): void {
    this.token = "";
    this.retry();
  }

  news(): News {
    const now = this.timers.now();
    return {
      state: this.state, quiet: now - this.lastMessage, retryIn: this.retryAt === 0 ? 0 : Math.max(0, this.retryAt - now),
      error: this.error, needsToken: this.needsToken,
    };
  }

  private async run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      const e = await this.follow(stopped);
      if (stopped.aborted) return;
      this.error = e.message;
      this.needsToken = e.code === "unauthenticated";
      const refused = this.needsToken || e.code === "permission_denied";
      await this.wait(refused ? "forbidden" : "lost", refused ? refusedWait : this.backOff());
    }
  }

  /** Reads one stream to its end and returns why it ended. */
  private async follow(stopped: AbortSignal): Promise<CallError> {
    const abort = new AbortController();
    const end = (): void => abort.abort();
    stopped.addEventListener("abort", end);
    let watchdog: unknown;
    const awaitMessage = (): void => {
      this.timers.clear(watchdog);
      watchdog = this.timers.set(silence, () => abort.abort(new Error(`no message for ${silence / 1000} s`)));
    };
    try {
      awaitMessage();
      let first = true;
      const request: WatchRequestJson = { ...this.request, heartbeat: `${heartbeat / 1000}s`, ...(this.token !== "" && { resumeToken: this.token }) };
      for await (const text of stream(this.client, "HealthService/Watch", request, abort.signal)) {
        awaitMessage();
        this.receive(text, first);
        first = false;
      }
      return callErrorOf(new Error("the coordinator ended the stream"));
    } catch (e) {
      // A message that cannot be read could have been lost in part, so everything is read again.
      if (e instanceof SyntaxError) this.token = "";
      return callErrorOf(abort.signal.aborted ? abort.signal.reason : e);
    } finally {
      this.timers.clear(watchdog);
      stopped.removeEventListener("abort", end);
      abort.abort();
    }
  }

  private receive(text: string, first: boolean): void {
    const m = JSON.parse(text) as WatchResponseJson;
    this.lastMessage = this.timers.now();
    this.failures = 0;
    // The parts of a snapshot before its end have no token. What was received before is then of no use.
    this.token = m.resumeToken ?? "";
    this.events.message(text, m, first);
    const state: SourceState = m.snapshot && !m.snapshotEnd ? "reading" : "live";
    if (state !== this.state) {
      this.error = "";
      this.needsToken = false;
      this.enter(state);
    }
  }

  /** Returns a wait that doubles with each failure, and varies by a fifth so that callers spread. */
  private backOff(): number {
    const wait = Math.min(longestWait, firstWait * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 10);
    return wait * (0.9 + 0.2 * this.timers.random());
  }

  private async wait(state: SourceState, ms: number): Promise<void> {
    this.retryAt = this.timers.now() + ms;
    this.enter(state);
    await new Promise<void>((resolve) => {
      const timer = this.timers.set(ms, resolve);
      this.endWait = () => {
        this.timers.clear(timer);
        resolve();
      };
    });
    this.endWait = undefined;
    this.retryAt = 0;
    this.events.news(this.news());
  }

  private enter(state: SourceState): void {
    this.state = state;
    this.events.news(this.news());
  }
}
