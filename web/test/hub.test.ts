import assert from "node:assert/strict";
import { test } from "node:test";
import type { WatchResponseJson } from "../src/gen/meshhealth/v1/health_pb";
import { type Answer, Hub, type Port, type Request } from "../src/hub";
import { Mesh } from "../src/mesh";
import { Assembler } from "../src/snapshot";
import { Coordinator, envelope, settle } from "./fakes";

/** A tab that keeps a mesh, as the page does. */
class Tab implements Port {
  onmessage: ((e: MessageEvent<Request>) => void) | null = null;
  onclose: ((e: Event) => void) | null = null;
  readonly answers: Answer[] = [];
  readonly mesh = new Mesh();
  /** The number of messages of the Watch. */
  messages = 0;
  /** A frozen tab applies nothing more and acknowledges nothing. */
  frozen = false;
  private readonly late: Answer[] = [];
  /** A slow tab acknowledges only when the test says so. */
  slow = false;
  private owed = 0;
  private readonly assembler = new Assembler();

  postMessage(a: Answer): void {
    if (this.frozen) {
      this.late.push(a);
      return;
    }
    this.answers.push(a);
    if (a.kind !== "messages") return;
    for (const m of a.messages) {
      this.messages++;
      const batch = this.assembler.add(JSON.parse(m.text) as WatchResponseJson, m.first);
      if (batch) this.mesh.apply(batch);
    }
    this.owed += a.messages.length;
    if (!this.slow) this.acknowledge();
  }

  acknowledge(): void {
    this.send({ kind: "ack", messages: this.owed });
    this.owed = 0;
  }

  /** Goes on, with what was sent to the frozen tab. */
  thaw(): void {
    this.frozen = false;
    for (const a of this.late.splice(0)) this.postMessage(a);
  }

  send(r: Request): void {
    this.onmessage!({ data: r } as MessageEvent<Request>);
  }

  names(): string[] {
    return [...this.mesh.entries.keys()].sort();
  }

  count(kind: Answer["kind"]): number {
    return this.answers.filter((a) => a.kind === kind).length;
  }
}

const join = (hub: Hub): Tab => {
  const tab = new Tab();
  hub.connect(tab);
  tab.send({ kind: "hello" });
  return tab;
};

/** A tab that also reads figures, and its coordinator, which has not answered yet. */
const joinWithFigures = async (): Promise<{ c: Coordinator; tab: Tab }> => {
  const c = new Coordinator();
  const tab = join(new Hub(c.client, 0));
  tab.send({ kind: "figures", id: 5, names: ["a"], every: 1000 });
  await settle();
  return { c, tab };
};

const snapshot = (names: readonly string[], end = true): Uint8Array =>
  envelope({ epoch: "7", revision: "3", snapshot: true, ...(end && { snapshotEnd: true, resumeToken: "T" }), entries: names.map((service) => ({ service })) });
const change = (service: string, removed = false): Uint8Array => envelope({ epoch: "7", revision: "4", resumeToken: "U", entries: [{ service, ...(removed && { removed }) }] });

test("all tabs share one stream, and a late tab gets a snapshot", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const tabs = [join(hub), join(hub)];
  t.after(() => tabs.forEach((tab) => tab.send({ kind: "bye" })));
  await settle();
  const watch = c.of("HealthService/Watch")[0]!.open();
  watch.send(snapshot(["a", "b"]), change("c"), change("b", true));
  await settle();
  tabs.push(join(hub));
  watch.send(change("d"));
  await settle();
  for (const tab of tabs) assert.deepEqual(tab.names(), ["a", "c", "d"]);
  assert.equal(c.of("HealthService/Watch").length, 1);
  assert.equal(c.of("AdminService/GetCoordinator").length, 2); // at the start and when the stream is live
});

test("a tab that joins while a snapshot is read again has neither less nor more", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const early = join(hub);
  t.after(() => early.send({ kind: "bye" }));
  await settle();
  const watch = c.of("HealthService/Watch")[0]!.open();
  watch.send(snapshot(["a", "b", "c"]), snapshot(["a"], false));
  await settle();
  const late = join(hub);
  t.after(() => late.send({ kind: "bye" }));
  assert.deepEqual(late.names(), ["a", "b", "c"]); // the old state is whole, the new one is not
  watch.send(snapshot(["d"]));
  await settle();
  assert.deepEqual(early.names(), ["a", "d"]);
  assert.deepEqual(late.names(), ["a", "d"]);
});

test("a tab that joins while the first snapshot is read gets the rest", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const early = join(hub);
  t.after(() => early.send({ kind: "bye" }));
  await settle();
  const watch = c.of("HealthService/Watch")[0]!.open();
  watch.send(snapshot(["a"], false));
  await settle();
  const late = join(hub);
  t.after(() => late.send({ kind: "bye" }));
  watch.send(snapshot(["b"]), change("c"));
  await settle();
  assert.deepEqual(late.names(), ["a", "b", "c"]);
});

test("a frozen tab gets no more messages, and a snapshot when it goes on", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const tab = join(hub);
  t.after(() => tab.send({ kind: "bye" }));
  await settle();
  const watch = c.of("HealthService/Watch")[0]!.open();
  watch.send(snapshot(["a"]));
  await settle();
  tab.frozen = true;
  for (let i = 0; i < 3000; i++) watch.send(change(`s${i}`));
  await settle();
  tab.thaw();
  assert.equal(tab.messages, 1 + 1500 + 1); // the first one, those that waited, and the snapshot
  assert.equal(tab.names().length, 3001);
  watch.send(change("new"));
  await settle();
  assert.equal(tab.names().length, 3002);
});

test("a tab that is behind is not told that it is live", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const tab = join(hub);
  t.after(() => tab.send({ kind: "bye" }));
  await settle();
  const states = (): string[] => tab.answers.flatMap((a) => (a.kind === "news" ? [a.news.state] : []));
  tab.slow = true;
  c.of("HealthService/Watch")[0]!.open().send(snapshot(["a"], false), snapshot(["b"]));
  await settle();
  assert.deepEqual([tab.names(), states().includes("live")], [["a"], false]);
  tab.slow = false;
  tab.acknowledge();
  assert.deepEqual([tab.names(), states().at(-1)], [["a", "b"], "live"]);
});

test("messages that follow each other closely are delivered together", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const now = performance.now();
  t.mock.method(performance, "now", () => now);
  const c = new Coordinator();
  const hub = new Hub(c.client);
  const tab = join(hub);
  t.after(() => tab.send({ kind: "bye" }));
  await settle();
  const watch = c.of("HealthService/Watch")[0]!.open();
  watch.send(snapshot(["a"]));
  for (let i = 0; i < 100; i++) watch.send(change(`s${i}`));
  await settle();
  assert.equal(tab.names().length, 1); // The first message waits for nothing.
  t.mock.timers.tick(15);
  assert.equal(tab.count("messages"), 2);
  assert.equal(tab.names().length, 101);
});

test("calls of a tab are answered, refused or cancelled", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const tab = join(hub);
  t.after(() => tab.send({ kind: "bye" }));
  tab.send({ kind: "token", token: "secret" });
  for (const id of [1, 2, 3]) tab.send({ kind: "call", id, method: "AdminService/Explain", request: { name: `n${id}` } });
  await settle();
  const calls = c.of("AdminService/Explain");
  assert.deepEqual(calls.map((e) => [e.request["name"], e.headers["authorization"]]), [["n1", "Bearer secret"], ["n2", "Bearer secret"], ["n3", "Bearer secret"]]);
  calls[0]!.reply({ sentences: ["yes"] });
  calls[1]!.reply({ code: "not_found", message: "name: is unknown" }, 404);
  tab.send({ kind: "cancel", id: 3 });
  await settle();
  assert.equal(calls[2]!.aborted, true);
  assert.deepEqual(tab.answers.filter((a) => a.kind === "value"), [{ kind: "value", id: 1, value: { sentences: ["yes"] } }]);
  assert.deepEqual(tab.answers.find((a) => a.kind === "error" && a.id === 2), { kind: "error", id: 2, code: "not_found", message: "name: is unknown" });
});

test("the stream ends with the last tab, and readers of the same figures share one", async () => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const tabs = [join(hub), join(hub)];
  tabs.forEach((tab) => tab.send({ kind: "figures", id: 5, names: ["b", "a"], every: 2000 }));
  await settle();
  const [main, figures, ...more] = c.of("HealthService/Watch");
  assert.equal(more.length, 0);
  assert.deepEqual(figures!.request, { names: ["b", "a"], figuresEvery: "2s", heartbeat: "2s" });
  figures!.open().send(envelope({ figures: [{ service: "a", metrics: {} }] }));
  await settle();
  for (const tab of tabs) assert.equal(tab.count("figures"), 1);
  tabs[0]!.send({ kind: "cancel", id: 5 });
  await settle();
  assert.equal(figures!.aborted, false);
  tabs[1]!.send({ kind: "bye" });
  await settle();
  assert.deepEqual([main!.aborted, figures!.aborted], [false, true]);
  tabs[0]!.send({ kind: "bye" });
  await settle();
  assert.equal(main!.aborted, true);
});

test("a token restarts each refused stream, also those with figures", async (t) => {
  const { c, tab } = await joinWithFigures();
  t.after(() => tab.send({ kind: "bye" }));
  for (const watch of c.of("HealthService/Watch")) watch.reply({ code: "unauthenticated", message: "token: is missing" }, 401);
  await settle();
  tab.send({ kind: "token", token: "secret" });
  await settle();
  const again = c.of("HealthService/Watch").slice(2);
  assert.deepEqual(again.map((w) => [w.request["names"], w.headers["authorization"]]).sort(), [[undefined, "Bearer secret"], [["a"], "Bearer secret"]]);
});

test("a tab that has crashed leaves no streams behind", async () => {
  const { c, tab } = await joinWithFigures();
  tab.onclose!({} as Event);
  await settle();
  assert.deepEqual(c.of("HealthService/Watch").map((w) => w.aborted), [true, true]);
  tab.onclose!({} as Event); // A tab that has said bye is also closed later.
});

test("a late tab hears the time of the coordinator as of now, not as of the last message", async (t) => {
  const c = new Coordinator();
  const hub = new Hub(c.client, 0);
  const early = join(hub);
  t.after(() => early.send({ kind: "bye" }));
  await settle();
  const at = "2030-01-01T00:00:00Z";
  c.of("HealthService/Watch")[0]!.open().send(envelope({ at, snapshot: true, snapshotEnd: true, resumeToken: "T", entries: [{ service: "a" }] }));
  await settle();
  const before = performance.now();
  t.mock.method(performance, "now", () => before + 60_000);
  const late = join(hub);
  t.after(() => late.send({ kind: "bye" }));
  const told = late.answers.find((a) => a.kind === "messages")!;
  const late60 = Date.parse((JSON.parse(told.messages[0]!.text) as WatchResponseJson).at!) - Date.parse(at);
  assert.ok(late60 >= 60_000 && late60 < 70_000, `${late60} ms`);
});

test("a frozen tab gets no more figures", async (t) => {
  const { c, tab } = await joinWithFigures();
  t.after(() => tab.send({ kind: "bye" }));
  const [main, figures] = c.of("HealthService/Watch");
  figures!.open();
  main!.open().send(snapshot(["a"]));
  await settle();
  tab.frozen = true;
  for (let i = 0; i < 3000; i++) main!.send(change(`s${i}`));
  await settle();
  for (let i = 0; i < 1000; i++) figures!.send(envelope({ figures: [{ service: "a", metrics: {} }] }));
  await settle();
  assert.equal(tab.count("figures"), 0);
  tab.thaw();
  figures!.send(envelope({ figures: [{ service: "a", metrics: {} }] }));
  await settle();
  assert.equal(tab.count("figures"), 1);
});

test("a call of a tab that is not connected is refused, not forgotten", () => {
  const c = new Coordinator();
  const tab = new Tab();
  new Hub(c.client).connect(tab);
  tab.send({ kind: "call", id: 1, method: "AdminService/Explain", request: {} });
  assert.deepEqual(tab.answers, [{ kind: "error", id: 1, code: "canceled", message: "the tab is not connected" }]);
});
