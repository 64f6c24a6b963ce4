import assert from "node:assert/strict";
import { test } from "node:test";
import type { WatchResponseJson } from "../src/gen/meshhealth/v1/health_pb";
import { Mesh } from "../src/mesh";
import { stream } from "../src/protocol";
import { Assembler } from "../src/snapshot";
import { type News, silence, Source } from "../src/source";
import { Coordinator, envelope, FakeTimers, recorded, settle } from "./fakes";

interface Rig {
  readonly coordinator: Coordinator;
  readonly timers: FakeTimers;
  readonly source: Source;
  readonly messages: { readonly m: WatchResponseJson; readonly first: boolean }[];
  readonly news: News[];
}

const rig = (): Rig => {
  const coordinator = new Coordinator();
  const timers = new FakeTimers();
  const messages: Rig["messages"] = [];
  const news: News[] = [];
  const source = new Source(coordinator.client, {}, { message: (_, m, first) => messages.push({ m, first }), news: (n) => news.push(n) }, timers);
  return { coordinator, timers, source, messages, news };
};

const states = (r: Rig): string[] => r.news.map((n) => n.state).filter((s, i, all) => s !== all[i - 1]);

const bySize = async (bytes: Uint8Array, size: number): Promise<{ texts: string[]; error: unknown }> => {
  const c = new Coordinator();
  const texts: string[] = [];
  const reading = (async () => {
    for await (const text of stream(c.client, "HealthService/Watch", {}, new AbortController().signal)) texts.push(text);
  })();
  await settle();
  const e = c.exchanges[0]!.open();
  for (let at = 0; at < bytes.length; at += size) e.send(bytes.slice(at, at + size));
  e.end();
  return { texts, error: await reading.then(() => undefined, (e: unknown) => e) };
};

test("recorded bytes give the same messages however they are split", async () => {
  const whole = await bySize(recorded(), 1 << 20);
  assert.equal(whole.texts.length, 16);
  assert.deepEqual({ ...(whole.error as Error) }, { code: "unavailable", name: "CallError" });
  assert.equal((whole.error as Error).message, "the server is stopping");
  for (const size of [1, 2, 5, 7, 64, 4096]) assert.deepEqual((await bySize(recorded(), size)).texts, whole.texts, `pieces of ${size} bytes`);
});

test("recorded messages give the mesh of the coordinator", async () => {
  const { texts } = await bySize(recorded(), 4096);
  const [mesh, assembler] = [new Mesh(), new Assembler()];
  texts.forEach((text, i) => {
    const batch = assembler.add(JSON.parse(text) as WatchResponseJson, i === 0);
    if (batch) mesh.apply(batch);
  });
  assert.deepEqual([...mesh.services.keys()].sort(), ["ledger", "payments"]);
  assert.deepEqual([...mesh.instances.keys()].sort(), ["ledger/a", "ledger/b", "ledger/c", "payments/a", "payments/b", "payments/c"]);
  for (const e of mesh.instances.values()) assert.ok(e.since > 0 && e.at >= e.since && e.cause !== "", e.name);
  assert.equal(mesh.instances.get("payments/a")?.checks[0]?.name, "database");
  assert.equal(mesh.revision, 284);
});

test("bytes that are no stream are refused", async () => {
  const tooLong = new Uint8Array([0, 0xff, 0xff, 0xff, 0xff]);
  assert.match(String((await bySize(tooLong, 5)).error), /message: has 4294967295 bytes; allowed: /);
  assert.match(String((await bySize(envelope({}, 1), 64)).error), /message: is compressed; allowed: identity/);
  assert.match(String((await bySize(recorded().slice(0, 7300), 64)).error), /the stream ended before its last message/);
});

test("a stream that ends is resumed with the last token", async () => {
  const r = rig();
  r.source.start();
  await settle();
  const first = r.coordinator.exchanges[0]!.open();
  assert.deepEqual(first.request, { heartbeat: "2s" });
  first.send(envelope({ epoch: "7", revision: "5", resumeToken: "A", snapshot: true, snapshotEnd: true }), envelope({ epoch: "7", revision: "6", resumeToken: "B" }));
  await settle();
  first.end();
  await settle();
  assert.deepEqual(states(r), ["live", "lost"]);
  assert.equal(r.news.at(-1)!.retryIn, 500);
  await r.timers.advance(500);
  assert.equal(r.coordinator.exchanges.length, 2);
  assert.deepEqual(r.coordinator.exchanges[1]!.request, { heartbeat: "2s", resumeToken: "B" });
  r.coordinator.exchanges[1]!.open().send(envelope({ epoch: "7", revision: "6", resumeToken: "B" }));
  await settle();
  assert.deepEqual(states(r), ["live", "lost", "live"]);
  assert.equal(r.news.at(-1)!.error, "");
  assert.equal(r.messages.at(-1)!.first, true);
  r.source.stop();
});

test("a snapshot that breaks off is read from its beginning", async () => {
  const r = rig();
  r.source.start();
  await settle();
  const first = r.coordinator.exchanges[0]!.open();
  first.send(envelope({ revision: "5", resumeToken: "A" }), envelope({ snapshot: true, gap: true, entries: [{ service: "a" }] }));
  await settle();
  assert.deepEqual(states(r), ["live", "reading"]);
  first.end();
  await r.timers.advance(500);
  assert.deepEqual(r.coordinator.exchanges[1]!.request, { heartbeat: "2s" });
  r.source.stop();
});

test("silence ends the stream, and failures make the wait longer", async () => {
  const r = rig();
  r.source.start();
  await settle();
  r.coordinator.exchanges[0]!.open().send(envelope({ resumeToken: "A" }));
  await settle();
  await r.timers.advance(silence - 1);
  assert.deepEqual(states(r), ["live"]);
  await r.timers.advance(1);
  assert.deepEqual(states(r), ["live", "lost"]);
  assert.equal(r.coordinator.exchanges[0]!.aborted, true);
  assert.equal(r.news.at(-1)!.quiet, silence);
  assert.match(r.news.at(-1)!.error, /no message for 4.5 s/);
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    waits.push(r.news.at(-1)!.retryIn);
    await r.timers.advance(r.news.at(-1)!.retryIn);
    r.coordinator.exchanges.at(-1)!.fail("Failed to fetch");
    await settle();
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  assert.equal(r.news.at(-1)!.error, "Failed to fetch");
  r.source.retry();
  await settle();
  assert.equal(r.coordinator.exchanges.length, 10);
  r.source.stop();
  await r.timers.advance(60_000);
  assert.equal(r.coordinator.exchanges.length, 10);
});

test("a refusal waits for a token", async () => {
  const r = rig();
  r.source.start();
  await settle();
  r.coordinator.exchanges[0]!.reply({ code: "unauthenticated", message: "token: is missing" }, 401);
  await settle();
  assert.deepEqual([r.news.at(-1)!.state, r.news.at(-1)!.needsToken, r.news.at(-1)!.error], ["forbidden", true, "token: is missing"]);
  await r.timers.advance(15_000);
  assert.equal(r.coordinator.exchanges.length, 1);
  r.coordinator.client.token = "secret";
  r.source.retry();
  await settle();
  assert.equal(r.coordinator.exchanges[1]!.headers["authorization"], "Bearer secret");
  r.coordinator.exchanges[1]!.open().send(envelope("x".repeat(3)));
  await settle();
  assert.equal(r.news.at(-1)!.state, "lost"); // a message that is no JSON
  r.source.stop();
});

test("the answer of a proxy without a body of Connect has a code", async () => {
  const r = rig();
  r.source.start();
  await settle();
  r.coordinator.exchanges[0]!.reply("<html>Bad gateway</html>", 502);
  await settle();
  assert.equal(r.news.at(-1)!.error, "HTTP 502 <html>Bad gateway</html>");
  assert.equal(r.news.at(-1)!.state, "lost");
  r.source.stop();
});

test("a stream that was stopped for long is not live when it starts again", async () => {
  const r = rig();
  r.source.start();
  await settle();
  r.coordinator.exchanges[0]!.open().send(envelope({ resumeToken: "A" }));
  await settle();
  r.source.stop();
  await r.timers.advance(600_000);
  r.source.start();
  assert.deepEqual([r.source.news().state, r.source.news().quiet], ["lost", 600_000]);
  await settle();
  r.coordinator.exchanges[1]!.open().send(envelope({ resumeToken: "A" }));
  await settle();
  assert.equal(r.source.news().state, "live");
  r.source.stop();
});

test("another caller does not resume the stream of the one before", async () => {
  const r = rig();
  r.source.start();
  await settle();
  r.coordinator.exchanges[0]!.open().send(envelope({ resumeToken: "A" }));
  await settle();
  r.coordinator.exchanges[0]!.send(envelope({ error: { code: "unauthenticated", message: "token: has expired" } }, 2));
  await settle();
  assert.equal(r.news.at(-1)!.state, "forbidden");
  r.source.restart();
  await settle();
  assert.deepEqual(r.coordinator.exchanges[1]!.request, { heartbeat: "2s" });
  r.source.stop();
});
