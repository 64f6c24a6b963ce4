import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Answer, Request } from "../src/hub";

/** The other end of the page's port: what the hub would do. */
const port = {
  onmessage: (_: { data: Answer }): void => undefined,
  sent: [] as Request[],
  postMessage(r: Request): void {
    this.sent.push(r);
  },
  tell(data: Answer): void {
    this.onmessage({ data });
  },
};

/** A browser with as much as the state needs, whose page shows the moment of the address. */
const browse = (address: string): void => {
  const location = { href: address };
  const history = { pushState: (_: unknown, __: string, to: string) => void (location.href = to) };
  const document = { baseURI: "http://coordinator.test/ui/", querySelector: () => null };
  Object.assign(globalThis, {
    buildStamp: "test", document, location, history, window: { addEventListener: () => undefined }, scrollTo: () => undefined,
    requestAnimationFrame: (f: () => void) => queueMicrotask(f), SharedWorker: function () { return { port }; },
  });
};

test("the page knows the present of the coordinator, and notices that its worker is gone", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  browse("http://coordinator.test/ui/history?at=2029-12-31T23:00:00Z");
  const { state } = await import("../src/state");
  state.start();
  const at = "2030-01-01T00:00:00Z";
  port.tell({ kind: "messages", messages: [{ text: JSON.stringify({ at, snapshot: true, snapshotEnd: true }), first: true }] });
  mock.timers.tick(1000);
  assert.equal(new Date(state.clock.value).toISOString(), "2029-12-31T23:00:00.000Z");
  const ahead = state.present.value - Date.parse(at);
  assert.ok(ahead >= 0 && ahead < 10_000, `${ahead} ms`);
  state.go({ at: 0 });
  assert.equal(state.clock.value, state.present.value);

  // A worker that has gone tells nothing, whatever it was doing.
  for (const doing of ["connecting", "reading", "live"] as const) {
    port.tell({ kind: "news", news: { state: doing, quiet: 0, retryIn: 0, error: "", needsToken: false } });
    mock.timers.tick(1000);
    assert.equal(state.connection.value.state, doing);
    const before = performance.now();
    const later = mock.method(performance, "now", () => before + 60_000);
    mock.timers.tick(1000);
    assert.deepEqual([state.connection.value.state, state.connection.value.error], ["lost", "the worker of this page does not answer"]);
    later.mock.restore();
  }
  mock.timers.reset();
});
