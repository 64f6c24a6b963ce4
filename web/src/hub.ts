// The hub of all tabs: it has one stream for all of them, makes their calls, and keeps the token. It runs
// in the SharedWorker, or in the tab itself where there are no SharedWorkers.
import type { GetCoordinatorResponseJson } from "./gen/meshhealth/v1/admin_pb";
import type { FiguresJson, HealthJson, WatchResponseJson } from "./gen/meshhealth/v1/health_pb";
import { nameOf } from "./entry";
import { call, callErrorOf, type Client } from "./protocol";
import { Assembler } from "./snapshot";
import { type News, Source } from "./source";

/** From a tab to the hub. */
export type Request =
  | { readonly kind: "hello" | "bye" | "news" | "retry" }
  | { readonly kind: "ack"; readonly messages: number }
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly request: unknown }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "figures"; readonly id: number; readonly names: readonly string[]; readonly every: number };

/** A message of the Watch. `first` says that it is the first one of a stream. */
export interface Message {
  readonly text: string;
  readonly first: boolean;
}

/** From the hub to a tab. */
export type Answer =
  | { readonly kind: "messages"; readonly messages: readonly Message[] }
  | { readonly kind: "news"; readonly news: News }
  | { readonly kind: "coordinator"; readonly coordinator: GetCoordinatorResponseJson | undefined }
  | { readonly kind: "value"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly kind: "figures"; readonly id: number; readonly figures: readonly FiguresJson[] };

/** The part of a MessagePort that the hub needs. */
export interface Port {
  postMessage(answer: Answer): void;
  onmessage: ((e: MessageEvent<Request>) => void) | null;
  /** Called when the tab is gone without a bye, for example after a crash. Not every browser calls it. */
  onclose?: ((e: Event) => void) | null;
}

interface Tab {
  readonly port: Port;
  readonly calls: Map<number, AbortController>;
  /** The number of messages that the tab has not yet applied. A browser may freeze a tab in the background. */
  behind: number;
  /** The messages that wait until the tab has applied those of the last delivery, and has had time to draw them. */
  waiting: Message[];
  /** The length of their texts. */
  length: number;
  /** The number of messages of the last delivery that the tab has not acknowledged. */
  delivered: number;
  /** When messages were last sent, on the scale of performance.now(). */
  sent: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** The tab is told of the stream after it has applied all messages before that. So it is not live before it shows what is live. */
  newsDue: boolean;
  /** The tab was too far behind: it gets a snapshot when it has caught up. */
  stale: boolean;
}

/** A tab that has this many messages before it gets no more, so that a frozen tab needs no memory. */
const mostBehind = 1500;
/** The shortest time between two deliveries to a tab, in ms. A storm has hundreds of messages a second, and each delivery has a cost. */
const deliveryEvery = 15;
/** The length from which on a delivery is full. A tab applies so much in a part of an animation frame, also on a slow computer. */
const fullDelivery = 100_000;
const coordinatorEvery = 10_000;
/** The state of the coordinator is read earlier, but not earlier than this, if entries become unconfirmed: a guard may have tripped. */
const coordinatorSoonest = 2000;

/** All tabs with their streams. */
export class Hub {
  private readonly tabs = new Map<Port, Tab>();
  private readonly entries = new Map<string, HealthJson>();
  private readonly assembler = new Assembler();
  private latest: WatchResponseJson = {};
  private coordinator: GetCoordinatorResponseJson | undefined;
  private coordinatorRead = -Infinity;
  private poll: ReturnType<typeof setInterval> | undefined;
  private readonly figures = new Figures();
  private readonly source: Source;

  constructor(private readonly client: Client, private readonly every = deliveryEvery) {
    this.source = new Source(client, { selector: { noServiceZones: true } }, { message: (text, m, first) => this.receive(text, m, first), news: (news) => this.tell(news) });
  }

  /** Serves a tab until it says bye. */
  connect(port: Port): void {
    port.onmessage = (e) => this.handle(port, e.data);
    port.onclose = () => this.handle(port, { kind: "bye" });
  }

  private handle(port: Port, r: Request): void {
    if (r.kind === "hello") return this.join(port);
    const tab = this.tabs.get(port);
    if (!tab) {
      if (r.kind === "call") port.postMessage({ kind: "error", id: r.id, code: "canceled", message: "the tab is not connected" });
      return;
    }
    switch (r.kind) {
      case "bye": return this.leave(tab);
      case "news": return port.postMessage({ kind: "news", news: this.source.news() });
      case "ack": return this.acknowledge(tab, r.messages);
      case "retry": return this.source.retry();
      case "token":
        this.client.token = r.token;
        this.figures.restart();
        return this.source.restart();
      case "call": return void this.call(tab, r.id, r.method, r.request);
      case "cancel":
        tab.calls.get(r.id)?.abort();
        tab.calls.delete(r.id);
        return this.figures.remove(port, r.id);
      case "figures": return this.figures.add(this.client, tab, r.id, r.names, r.every);
    }
  }

  private join(port: Port): void {
    if (this.tabs.has(port)) return;
    const tab: Tab = { port, calls: new Map(), behind: 0, waiting: [], length: 0, delivered: 0, sent: -Infinity, timer: undefined, newsDue: false, stale: false };
    this.tabs.set(port, tab);
    port.postMessage({ kind: "news", news: this.source.news() });
    if (this.entries.size > 0) this.sendAll(tab);
    if (this.coordinator) port.postMessage({ kind: "coordinator", coordinator: this.coordinator });
    if (this.poll !== undefined) return;
    // The line above a view that says what is held should be there with the first entries, so that nothing moves.
    void this.readCoordinator();
    this.source.start();
    this.poll = setInterval(() => void this.readCoordinator(), coordinatorEvery);
  }

  private leave(tab: Tab): void {
    this.tabs.delete(tab.port);
    clearTimeout(tab.timer);
    for (const c of tab.calls.values()) c.abort();
    this.figures.removeAll(tab.port);
    if (this.tabs.size > 0) return;
    this.source.stop();
    clearInterval(this.poll);
    this.poll = undefined;
  }

  private receive(text: string, m: WatchResponseJson, first: boolean): void {
    for (const tab of this.tabs.values()) this.send(tab, text, first);
    const batch = this.assembler.add(m, first);
    this.latest = m;
    if (!batch) return;
    if (batch.snapshot) this.entries.clear();
    for (const h of batch.entries) {
      const name = nameOf(h.service ?? "", h.instance ?? "");
      if (h.removed) this.entries.delete(name);
      else this.entries.set(name, h);
    }
    if (batch.entries.some((h) => h.unconfirmed) && performance.now() - this.coordinatorRead > coordinatorSoonest) void this.readCoordinator();
  }

  private send(tab: Tab, text: string, first: boolean): void {
    if (tab.behind >= mostBehind) tab.stale = true;
    if (tab.stale) return;
    tab.behind++;
    tab.waiting.push({ text, first });
    tab.length += text.length;
    this.plan(tab);
  }

  /** Plans the next delivery. There is at most one that the tab has not acknowledged, so that a tab which is slow is not made slower. */
  private plan(tab: Tab): void {
    if (tab.delivered > 0) return;
    if (tab.waiting.length === 0) return this.tellLate(tab);
    const wait = tab.length >= fullDelivery ? 0 : tab.sent + this.every - performance.now();
    if (wait <= 0) this.deliver(tab);
    else tab.timer ??= setTimeout(() => this.deliver(tab), wait);
  }

  private tellLate(tab: Tab): void {
    if (tab.newsDue) tab.port.postMessage({ kind: "news", news: this.source.news() });
    tab.newsDue = false;
  }

  private deliver(tab: Tab): void {
    clearTimeout(tab.timer);
    tab.timer = undefined;
    tab.sent = performance.now();
    let length = 0;
    let n = 0;
    while (n < tab.waiting.length && length < fullDelivery) length += tab.waiting[n++]!.text.length;
    const messages = tab.waiting.splice(0, n);
    tab.length -= length;
    tab.delivered = n;
    tab.port.postMessage({ kind: "messages", messages });
  }

  private acknowledge(tab: Tab, messages: number): void {
    tab.behind = Math.max(0, tab.behind - messages);
    tab.delivered = Math.max(0, tab.delivered - messages);
    this.plan(tab);
    if (!tab.stale || tab.behind > 0) return;
    tab.stale = false;
    this.sendAll(tab);
  }

  /** Sends what is known, and then the part of a snapshot that the hub is reading. */
  private sendAll(tab: Tab): void {
    const { epoch, revision, build } = this.latest;
    const at = this.time();
    const common = { snapshot: true, ...(epoch && { epoch }), ...(revision && { revision }), ...(at && { at }), ...(build && { build }) };
    const whole: WatchResponseJson = { ...common, snapshotEnd: !this.assembler.incomplete, entries: [...this.entries.values()] };
    this.send(tab, JSON.stringify(whole), true);
    if (this.assembler.pending.length > 0) this.send(tab, JSON.stringify({ ...common, entries: this.assembler.pending }), false);
  }

  /** The coordinator's time now: that of the last message, which may be old, and what has passed since. */
  private time(): string | undefined {
    const told = Date.parse(this.latest.at ?? "");
    return Number.isNaN(told) ? undefined : new Date(told + this.source.news().quiet).toISOString();
  }

  private tell(news: News): void {
    for (const tab of this.tabs.values()) {
      if (tab.behind > 0) tab.newsDue = true;
      else tab.port.postMessage({ kind: "news", news });
    }
    if (news.state === "live") void this.readCoordinator();
  }

  private async readCoordinator(): Promise<void> {
    const began = (this.coordinatorRead = performance.now());
    let coordinator: GetCoordinatorResponseJson | undefined;
    try {
      coordinator = (await call(this.client, "AdminService/GetCoordinator", {})) as GetCoordinatorResponseJson;
    } catch {
      // The caller may lack the right, or the stream says what is wrong.
    }
    if (began !== this.coordinatorRead) return; // A later answer is newer.
    this.coordinator = coordinator;
    for (const { port } of this.tabs.values()) port.postMessage({ kind: "coordinator", coordinator });
  }

  private async call(tab: Tab, id: number, method: string, request: unknown): Promise<void> {
    const abort = new AbortController();
    tab.calls.set(id, abort);
    try {
      const value = await call(this.client, method, request, abort.signal);
      tab.port.postMessage({ kind: "value", id, value });
    } catch (e) {
      const { code, message } = callErrorOf(e);
      tab.port.postMessage({ kind: "error", id, code, message });
    } finally {
      tab.calls.delete(id);
    }
  }
}

interface Reader {
  readonly tab: Tab;
  readonly id: number;
}

/** The streams with figures. Readers of the same names and period share one. */
class Figures {
  private readonly streams = new Map<string, { readonly source: Source; readonly readers: Reader[] }>();

  add(client: Client, tab: Tab, id: number, names: readonly string[], every: number): void {
    const key = JSON.stringify([[...names].sort(), every]);
    let s = this.streams.get(key);
    if (!s) {
      const readers: Reader[] = [];
      const source = new Source(client, { names: [...names], figuresEvery: `${every / 1000}s` }, {
        message: (_, m) => {
          if (m.figures) for (const r of readers) if (!r.tab.stale) r.tab.port.postMessage({ kind: "figures", id: r.id, figures: m.figures });
        },
        news: () => undefined,
      });
      s = { source, readers };
      this.streams.set(key, s);
      source.start();
    }
    s.readers.push({ tab, id });
  }

  remove(port: Port, id: number): void {
    this.drop((r) => r.tab.port === port && r.id === id);
  }

  /** Asks again as another caller. */
  restart(): void {
    for (const { source } of this.streams.values()) source.restart();
  }

  removeAll(port: Port): void {
    this.drop((r) => r.tab.port === port);
  }

  private drop(gone: (r: Reader) => boolean): void {
    for (const [key, { source, readers }] of this.streams) {
      const kept = readers.filter((r) => !gone(r));
      readers.splice(0, readers.length, ...kept);
      if (kept.length > 0) continue;
      source.stop();
      this.streams.delete(key);
    }
  }
}
