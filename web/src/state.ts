// The state of the page: the mesh, the connection, the address and the clock. Views read signals.
import { batch, computed, effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { GetCoordinatorResponseJson } from "./gen/meshhealth/v1/admin_pb";
import type { FiguresJson, WatchResponseJson } from "./gen/meshhealth/v1/health_pb";
import { meshName, type Status } from "./entry";
import { Link } from "./link";
import { Mesh } from "./mesh";
import { addressOf, parseRoute, type Route, type View } from "./route";
import { Assembler } from "./snapshot";
import { type News, silence } from "./source";
import { Turns } from "./turns";

/** What is known about the connection to the coordinator. */
export interface Connection {
  readonly state: "connecting" | "reading" | "live" | "lost" | "forbidden" | "old-build";
  /** When the last message arrived, on the scale of now(). */
  readonly lastNews: number;
  /** When the next attempt begins, on the scale of now(), or 0. */
  readonly retryAt: number;
  readonly error: string;
  readonly needsToken: boolean;
  /** The build of the coordinator that has sent this page. */
  readonly build: string;
  readonly epoch: string;
}

/** A short message about what just happened. `id` differs for each. */
export interface Notice {
  readonly id: number;
  readonly text: string;
}

/** Hears which entries of `shown` have changed since the last animation frame. Undefined stands for all. */
export type FrameListener = (changed: ReadonlySet<string> | undefined) => void;

export interface State {
  /** The live entries. */
  readonly mesh: Mesh;
  /** The mesh that views show: live, paused, or as of route.at. Its entries change without a change of this signal: see onTurn. */
  readonly shown: ReadonlySignal<Mesh>;
  /** `shown` has no entries. */
  readonly empty: ReadonlySignal<boolean>;
  /** The status of the mesh in `shown`, which is told even in a storm. Undefined if the caller may not read it. */
  readonly meshStatus: ReadonlySignal<Status | undefined>;
  /** Changes at most four times a second, when `shown` has changed. It is for what takes long to compute. */
  readonly pulse: ReadonlySignal<number>;
  readonly route: ReadonlySignal<Route>;
  readonly connection: ReadonlySignal<Connection>;
  /** The number of entries that the snapshot has brought so far, several times a second. */
  readonly received: ReadonlySignal<number>;
  /** The state of the coordinator itself, every 10 s. Undefined if the caller may not read it. */
  readonly coordinator: ReadonlySignal<GetCoordinatorResponseJson | undefined>;
  /** The time of the coordinator, in ms since 1970. It moves once a second, and stands still with route.at. */
  readonly clock: ReadonlySignal<number>;
  /** The same without regard to route.at. It is for what is always about the present. */
  readonly present: ReadonlySignal<number>;
  readonly paused: ReadonlySignal<boolean>;
  readonly notice: ReadonlySignal<Notice | undefined>;
  go(r: Partial<Route>, replace?: boolean): void;
  /** Calls a unary method such as `AdminService/Explain`. It rejects with CallError. */
  call<Req, Res>(method: string, request: Req, signal?: AbortSignal): Promise<Res>;
  /** Reads the figures of names, at most once per `figuresEvery` ms. The result ends it. */
  watchNames(names: readonly string[], figuresEvery: number, on: (f: readonly FiguresJson[]) => void): () => void;
  /** Sets the mesh that `?at` shows. Undefined shows the live mesh. */
  setPast(m: Mesh | undefined): void;
  onFrame(listener: FrameListener): () => void;
  /** Grows with each change of `shown`. */
  changes(): number;
  /**
   * Calls `tell` after `shown` has changed, at most once in `period` ms, and less often in a storm. `seen` is
   * the result of `changes` that the listener knows. The result ends it.
   */
  onTurn(tell: () => void, period: number, seen?: number): () => void;
  pause(on: boolean): void;
  say(text: string): void;
  setToken(token: string): void;
  /** Connects now instead of at the end of the wait. */
  retry(): void;
  /** Reads the address and connects. */
  start(): void;
}

/** The monotonic time of this tab in ms. It is close to the wall clock at the start of the tab. */
export const now = (): number => performance.timeOrigin + performance.now();

const emptyRoute: Route = { view: { page: "now" }, q: "", group: "", at: 0, from: 0, to: 0, selected: "" };
/** The parts of the address that one view has. They do not follow to another view. */
const ofOneView: Partial<Route> = { selected: "", from: 0, to: 0 };
/** The shortest time between two changes of `pulse`, in ms. */
export const pulseEvery = 250;
/** More changes than this in one frame are a storm. */
const mostRead = 50;
/** While a snapshot arrives, it is shown this often, in ms, because showing it delays reading it. */
const readingEvery = 400;
/** A snapshot that is complete after this time, in ms, is shown at once, so that nothing moves. */
const firstAfter = 100;

class PageState implements State {
  readonly mesh = new Mesh();
  private readonly past = signal<Mesh | undefined>(undefined);
  private readonly frozen = signal<Mesh | undefined>(undefined);
  readonly shown = computed(() => this.past.value ?? this.frozen.value ?? this.mesh);
  readonly empty = signal(true);
  readonly meshStatus = signal<Status | undefined>(undefined);
  readonly pulse = signal(0);
  readonly route = signal<Route>(emptyRoute);
  readonly connection = signal<Connection>({
    state: "connecting", lastNews: now(), retryAt: 0, error: "", needsToken: false, build: "", epoch: "",
  });
  readonly received = signal(0);
  readonly coordinator = signal<GetCoordinatorResponseJson | undefined>(undefined);
  readonly clock = signal(Date.now());
  readonly present = signal(Date.now());
  readonly paused = computed(() => this.frozen.value !== undefined);
  readonly notice = signal<Notice | undefined>(undefined);

  private readonly link = new Link({
    message: (m) => this.receive(JSON.parse(m.text) as WatchResponseJson, m.first),
    told: (a) => (a.kind === "news" ? this.hear(a.news) : void (this.coordinator.value = a.coordinator)),
  });
  private readonly assembler = new Assembler();
  private inSnapshot = false;
  private arrived = 0;
  private counted = -Infinity;
  private lastMessage = now();
  /** Nothing came from the hub for so long that the hub itself may be gone. */
  private deaf = false;
  /** The coordinator's clock minus now(), in ms. Undefined before the first message. */
  private offset: number | undefined;
  private readonly changed = new Set<string>();
  private allChanged = false;
  private frameDue = false;
  private lastFrame = -Infinity;
  private readonly turns = new Turns();
  private readonly listeners = new Set<FrameListener>();

  start(): void {
    const build = document.querySelector<HTMLMetaElement>('meta[name="meshhealth-build"]')?.content ?? "";
    this.connection.value = { ...this.connection.peek(), build };
    const base = new URL(document.baseURI);
    const read = (): void => void (this.route.value = parseRoute(new URL(location.href), base));
    read();
    window.addEventListener("popstate", read);
    effect(() => {
      void this.shown.value;
      this.allChanged = true;
      this.schedule();
    });
    effect(() => {
      void this.route.value.at;
      untracked(() => this.second());
    });
    setInterval(() => this.second(), 1000);
    this.onTurn(() => void this.pulse.value++, pulseEvery);
    void this.link.open();
  }

  go(r: Partial<Route>, replace = false): void {
    const before = this.route.value;
    const moved = r.view !== undefined && JSON.stringify(r.view) !== JSON.stringify(before.view);
    const after: Route = { ...before, ...(moved && ofOneView), ...r };
    const address = new URL(addressOf(after), document.baseURI).href;
    if (address === location.href) return;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    this.route.value = after;
    if (moved) scrollTo(0, 0);
  }

  call<Req, Res>(method: string, request: Req, signal?: AbortSignal): Promise<Res> {
    return this.link.call(method, request, signal) as Promise<Res>;
  }

  watchNames(names: readonly string[], figuresEvery: number, on: (f: readonly FiguresJson[]) => void): () => void {
    return this.link.figures(names, figuresEvery, on);
  }

  setPast(m: Mesh | undefined): void {
    this.past.value = m;
  }

  onFrame(listener: FrameListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changes(): number {
    return this.turns.count;
  }

  onTurn(tell: () => void, period: number, seen?: number): () => void {
    return this.turns.add(tell, period, seen);
  }

  pause(on: boolean): void {
    this.frozen.value = on ? this.mesh.copy() : undefined;
  }

  say(text: string): void {
    this.notice.value = { id: (this.notice.peek()?.id ?? 0) + 1, text };
  }

  setToken(token: string): void {
    this.link.send({ kind: "token", token });
  }

  retry(): void {
    this.link.send({ kind: "retry" });
  }

  private receive(m: WatchResponseJson, first: boolean): void {
    this.lastMessage = now();
    this.setClock(m.at);
    if (this.deaf) this.link.send({ kind: "news" });
    this.deaf = false;
    const before = this.connection.peek();
    if (m.epoch !== undefined && before.epoch !== "" && m.epoch !== before.epoch) this.say("The coordinator has started again. Everything is read again.");
    else if (m.gap) this.say(`Changes after revision ${this.mesh.revision} are missing. Everything is read again.`);
    const goesOn = m.snapshot && this.inSnapshot && !first;
    this.inSnapshot = (m.snapshot ?? false) && !m.snapshotEnd;
    if (m.snapshot) this.count((goesOn ? this.arrived : 0) + (m.entries?.length ?? 0));
    const build = m.build ?? "";
    const updated = before.build !== "" && build !== "" && build !== before.build && before.state !== "old-build";
    const named = before.build === "" && build !== "";
    if ((m.epoch ?? "") !== before.epoch || named || updated) {
      this.connection.value = { ...before, epoch: m.epoch ?? "", build: before.build || build, ...(updated && { state: "old-build" }) };
    }
    const batch = this.assembler.add(m, first);
    if (!batch) return;
    for (const name of this.mesh.apply(batch)) this.changed.add(name);
    if (this.lastFrame < 0) this.lastFrame = performance.now() + firstAfter - readingEvery;
    if (this.shown.peek() === this.mesh && !(this.inSnapshot && performance.now() - this.lastFrame < readingEvery)) this.schedule();
  }

  /** Counts the entries of a snapshot. Views hear of it seldom, because showing it delays reading. */
  private count(arrived: number): void {
    this.arrived = arrived;
    if (this.inSnapshot && performance.now() - this.counted < pulseEvery) return;
    this.counted = performance.now();
    this.received.value = arrived;
  }

  private hear(news: News): void {
    const before = this.connection.peek();
    const at = now();
    this.lastMessage = at - news.quiet;
    const state = before.state === "old-build" && news.state === "live" ? "old-build" : news.state;
    if (state !== before.state) this.schedule(); // A snapshot is complete, or has broken off.
    this.connection.value = {
      ...before, state, lastNews: this.lastMessage, retryAt: news.retryIn === 0 ? 0 : at + news.retryIn, error: news.error, needsToken: news.needsToken,
    };
  }

  /** Corrects the clock. Messages arrive late and never early, so the largest difference is the best. */
  private setClock(at: string | undefined): void {
    const difference = at === undefined ? NaN : Date.parse(at) - now();
    if (Number.isNaN(difference)) return;
    const first = this.offset === undefined;
    if (first || difference > this.offset! || this.offset! - difference > 1000) this.offset = difference;
    if (first) this.second();
  }

  private second(): void {
    const c = this.connection.peek();
    const silent = now() - this.lastMessage;
    batch(() => {
      this.present.value = now() + (this.offset ?? Date.now() - now());
      this.clock.value = this.route.peek().at || this.present.value;
      // The hub tells when the stream is lost. If the hub itself is gone, nothing arrives at all.
      if (silent > silence + 2000 && c.state !== "lost" && c.state !== "forbidden") {
        this.deaf = true;
        this.connection.value = { ...c, state: "lost", lastNews: this.lastMessage, error: "the worker of this page does not answer" };
      } else if (c.state === "live" || c.state === "old-build") {
        this.connection.value = { ...c, lastNews: this.lastMessage };
      }
    });
  }

  private schedule(): void {
    if (this.frameDue) return;
    this.frameDue = true;
    requestAnimationFrame(() => this.frame());
  }

  private frame(): void {
    this.frameDue = false;
    if (this.mesh.entries.size > 0) this.lastFrame = performance.now();
    const changed = this.allChanged ? undefined : this.changed;
    batch(() => {
      for (const l of this.listeners) l(changed);
      const { entries } = this.shown.peek();
      this.empty.value = entries.size === 0;
      this.meshStatus.value = entries.get(meshName)?.status;
      this.turns.changed(changed !== undefined && changed.size > mostRead);
    });
    this.changed.clear();
    this.allChanged = false;
  }
}

export const state: State = new PageState();

/** The address of a view that keeps the moment that is shown. */
export const hrefOf = (view: View): string => addressOf({ ...emptyRoute, view, at: state.route.value.at });

/** The address of this view with some parts changed. */
export const hrefWith = (r: Partial<Route>): string => addressOf({ ...state.route.value, ...r });
