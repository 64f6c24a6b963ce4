import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { ListTransitionsRequestJson, TransitionJson } from "../src/gen/meshhealth/v1/admin_pb";
import type { Answer, Request } from "../src/hub";
import { settle } from "./fakes";

/** The records of the coordinator, newest first. */
const records: TransitionJson[] = [];

const port = {
  onmessage: (_: { data: Answer }): void => undefined,
  postMessage(r: Request): void {
    if (r.kind !== "call") return;
    const { oldestFirst } = r.request as ListTransitionsRequestJson;
    const transitions = oldestFirst ? [records.at(-1)!] : [...records];
    queueMicrotask(() => this.onmessage({ data: { kind: "value", id: r.id, value: { transitions } } }));
  },
};

test("a step on finds the changes since the history was read", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const location = { href: "http://coordinator.test/ui/" };
  Object.assign(globalThis, {
    buildStamp: "test", location, history: { pushState: (_: unknown, __: string, to: string) => void (location.href = to) },
    document: { baseURI: location.href, querySelector: () => null }, window: { addEventListener: () => undefined },
    requestAnimationFrame: (f: () => void) => queueMicrotask(f), SharedWorker: function () { return { port }; },
  });
  const at = (minute: number): string => `2030-01-01T00:0${minute}:00Z`;
  const change = (minute: number, to: "STATUS_SERVING" | "STATUS_NOT_SERVING"): void =>
    void records.unshift({ service: "pay", to, at: at(minute), ...(minute > 1 && { from: "STATUS_SERVING" }) });
  const { state } = await import("../src/state");
  const { show, step } = await import("../src/past");
  state.start();
  const snapshot = { at: at(5), snapshot: true, snapshotEnd: true, entries: [{ service: "pay", status: "STATUS_SERVING", since: at(3) }] };
  port.onmessage({ data: { kind: "messages", messages: [{ text: JSON.stringify(snapshot), first: true }] } });
  for (const minute of [1, 2, 3]) change(minute, "STATUS_SERVING");
  state.go({ at: Date.parse(at(2)) });
  await show(Date.parse(at(2)));
  change(6, "STATUS_NOT_SERVING");
  const moments: number[] = [];
  for (let i = 0; i < 3; i++) {
    await step(1);
    await settle();
    moments.push(state.route.value.at);
    if (state.route.value.at > 0) await show(state.route.value.at);
  }
  assert.deepEqual(moments, [Date.parse(at(3)), Date.parse(at(6)), 0]);
  mock.timers.reset();
});
