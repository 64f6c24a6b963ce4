// A coordinator for tests: it answers fetch with bytes that the test gives, and time that the test moves.
import { readFileSync } from "node:fs";
import type { Client } from "../src/protocol";
import type { Timers } from "../src/source";

/** What a coordinator has sent on a Watch: a snapshot, changes, heartbeats, and the end when it stopped. */
export const recorded = (): Uint8Array => new Uint8Array(readFileSync("testdata/watch.bin"));

export const envelope = (message: unknown, flags = 0): Uint8Array => {
  const body = new TextEncoder().encode(typeof message === "string" ? message : JSON.stringify(message));
  const all = new Uint8Array(5 + body.length);
  all[0] = flags;
  new DataView(all.buffer).setUint32(1, body.length);
  all.set(body, 5);
  return all;
};

/** One request that the page has made. */
export class Exchange {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly request: Record<string, unknown>;
  private answer!: (r: Response | Error) => void;
  private body!: ReadableStreamDefaultController<Uint8Array>;
  readonly response: Promise<Response>;
  aborted = false;

  constructor(url: string, init: RequestInit) {
    this.method = url.slice(url.lastIndexOf("meshhealth.v1.") + "meshhealth.v1.".length);
    this.headers = init.headers as Record<string, string>;
    this.request = JSON.parse(typeof init.body === "string" ? init.body : new TextDecoder().decode((init.body as Uint8Array).subarray(5))) as Record<string, unknown>;
    this.response = new Promise((resolve, reject) => {
      this.answer = (r) => (r instanceof Error ? reject(r) : resolve(r));
      init.signal?.addEventListener("abort", () => {
        this.aborted = true;
        reject(init.signal!.reason as Error);
        this.body?.error(init.signal!.reason);
      });
    });
    this.response.catch(() => undefined);
  }

  /** Answers with a stream that stays open. */
  open(): this {
    this.answer(new Response(new ReadableStream<Uint8Array>({ start: (c) => { this.body = c; } }), { status: 200 }));
    return this;
  }

  send(...chunks: Uint8Array[]): void {
    for (const c of chunks) this.body.enqueue(c);
  }

  end(): void {
    this.body.close();
  }

  reply(value: unknown, status = 200): void {
    this.answer(new Response(typeof value === "string" ? value : JSON.stringify(value), { status }));
  }

  fail(message: string): void {
    this.answer(new TypeError(message));
  }
}

/** All requests, in their order. */
export class Coordinator {
  readonly exchanges: Exchange[] = [];
  readonly client: Client = {
    base: "http://coordinator.test/prefix/",
    token: "",
    fetch: ((url: string, init: RequestInit) => {
      const e = new Exchange(url, init);
      this.exchanges.push(e);
      return e.response;
    }) as unknown as typeof fetch,
  };

  /** The requests of one method. */
  of(method: string): Exchange[] {
    return this.exchanges.filter((e) => e.method === method);
  }
}

/** Lets everything run that waits for nothing but promises. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A clock that moves only when a test says so. */
export class FakeTimers implements Timers {
  private time = 0;
  private readonly timers = new Set<{ at: number; f: () => void }>();

  now(): number {
    return this.time;
  }

  set(ms: number, f: () => void): unknown {
    const t = { at: this.time + ms, f };
    this.timers.add(t);
    return t;
  }

  clear(timer: unknown): void {
    this.timers.delete(timer as { at: number; f: () => void });
  }

  random(): number {
    return 0.5;
  }

  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const next = [...this.timers].filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.time = next.at;
      this.timers.delete(next);
      next.f();
    }
    this.time = end;
    await settle();
  }
}
