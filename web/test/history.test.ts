import assert from "node:assert/strict";
import { test } from "node:test";
import { Status } from "../src/entry";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { differences, neighbour, pastOf } from "../src/history";
import { Mesh } from "../src/mesh";
import { type Transition, transitionOf } from "../src/transition";
import type { StatusJson } from "../src/gen/meshhealth/v1/status_pb";

const names: StatusJson[] = [
  "STATUS_UNKNOWN", "STATUS_SERVING", "STATUS_NOT_SERVING", "STATUS_SERVICE_UNKNOWN", "STATUS_DEGRADED", "STATUS_STARTING", "STATUS_DRAINING", "STATUS_MAINTENANCE",
];

/** A mesh that changes as a coordinator changes it, and that keeps its records and every earlier state. */
class Oracle {
  now = 1_000;
  readonly records: Transition[] = []; // newest first
  readonly current = new Map<string, { service: string; instance: string; status: Status; since: number; cause: string }>();
  readonly states: { at: number; state: Map<string, { status: Status; since: number; cause: string }> }[] = [];
  private lost = 0;

  constructor(private readonly losing: () => boolean) {
    this.set("*", "", Status.Unknown, Status.Starting);
  }

  /** A new instance is STARTING. The history has no record of it. */
  register(service: string, instance: string): void {
    this.current.set(`${service}/${instance}`, { service, instance, status: Status.Starting, since: this.now, cause: "starting" });
    this.roll(service);
  }

  change(service: string, instance: string, to: Status): void {
    const from = this.current.get(`${service}/${instance}`)!.status;
    if (from !== to) this.set(service, instance, from, to);
    this.roll(service);
  }

  deregister(service: string, instance: string): void {
    this.remove(service, instance);
    this.roll(service);
  }

  snapshot(): void {
    this.states.push({ at: this.now, state: new Map([...this.current].map(([n, e]) => [n, { status: e.status, since: e.since, cause: e.cause }])) });
    this.now += 10;
  }

  live(): Mesh {
    const mesh = new Mesh();
    const entries: HealthJson[] = [...this.current.values()].map((e) => ({
      service: e.service, instance: e.instance, status: names[e.status]!, since: new Date(e.since).toISOString(), cause: `CAUSE_${e.cause.toUpperCase()}` as never,
    }));
    mesh.apply({ snapshot: true, revision: 1, entries });
    return mesh;
  }

  private roll(service: string): void {
    const worst = (l: Status[]): Status => (l.length === 0 ? Status.Unknown : l.reduce((a, b) => Math.max(a, b)));
    const members = [...this.current.values()].filter((e) => e.service === service && e.instance !== "");
    const old = this.current.get(service);
    if (members.length === 0) {
      if (old !== undefined) this.remove(service, "");
    } else {
      const to = worst(members.map((e) => e.status));
      if (old?.status !== to) this.set(service, "", old?.status ?? Status.Unknown, to);
    }
    const all = [...this.current.values()].filter((e) => e.instance === "" && e.service !== "*");
    const mesh = this.current.get("*")!;
    if (mesh.status !== worst(all.map((e) => e.status))) this.set("*", "", mesh.status, worst(all.map((e) => e.status)));
  }

  private set(service: string, instance: string, from: Status, to: Status): void {
    const cause = to === Status.Starting ? "starting" : to === Status.Serving ? "ok" : "failed";
    this.current.set(instance === "" ? service : `${service}/${instance}`, { service, instance, status: to, since: this.now, cause });
    this.record({ service, instance, from: names[from]!, to: names[to]!, at: new Date(this.now).toISOString(), cause: `CAUSE_${cause.toUpperCase()}` as never });
  }

  private remove(service: string, instance: string): void {
    const name = instance === "" ? service : `${service}/${instance}`;
    const status = names[this.current.get(name)!.status]!;
    this.current.delete(name);
    this.record({ service, instance, from: status, to: status, at: new Date(this.now).toISOString(), removed: true });
  }

  private record(t: Parameters<typeof transitionOf>[0]): void {
    if (this.losing()) {
      this.lost++;
      return;
    }
    if (this.lost > 0) this.records.unshift(transitionOf({ at: t.at!, lost: String(this.lost) }));
    this.lost = 0;
    this.records.unshift(transitionOf(t));
  }

  /** Writes the gap of records that were lost last. */
  settle(): void {
    if (this.lost > 0) this.records.unshift(transitionOf({ at: new Date(this.now).toISOString(), lost: String(this.lost) }));
    this.lost = 0;
  }
}

const generator = (seed: number) => (n: number): number => ((seed = (seed * 48271) % 2147483647) % n);

/** Runs a random sequence of changes. `loss` is the number of 100 stretches in which records are lost. */
const run = (seed: number, loss: number): Oracle => {
  const random = generator(seed);
  let losing = false;
  const o = new Oracle(() => losing);
  for (let step = 0; step < 150; step++) {
    losing = loss > 0 && (losing ? random(3) > 0 : random(100) < loss);
    for (let i = random(3); i >= 0; i--) {
      const service = "abcd"[random(4)]!;
      const instance = "xyz"[random(3)]!;
      const present = o.current.has(`${service}/${instance}`);
      if (!present) o.register(service, instance);
      else if (random(12) === 0) o.deregister(service, instance);
      else o.change(service, instance, [Status.Serving, Status.NotServing, Status.Degraded, Status.Starting][random(4)]!);
    }
    o.snapshot();
  }
  o.settle();
  return o;
};

test("undone records restore each earlier state", () => {
  let entries = 0;
  let unsure = 0;
  for (let seed = 1; seed <= 15; seed++) {
    const o = run(seed, 0);
    const live = o.live();
    for (const { at, state } of o.states) {
      const past = pastOf(live, o.records, at, 1_000);
      assert.equal(past.known, true);
      const present = [...past.mesh.entries.values()];
      for (const e of present) {
        entries++;
        const want = state.get(e.name);
        if (e.unconfirmed) {
          unsure++; // only the registration of an instance is in doubt, never its status
          assert.ok(want === undefined || want.status === e.status, `seed ${seed} at ${at}: ${e.name}`);
          continue;
        }
        assert.equal(e.status, want?.status, `seed ${seed} at ${at}: ${e.name}`);
        if (e.since > 0) assert.deepEqual([e.since, e.cause], [want!.since, want!.cause], `seed ${seed} at ${at}: ${e.name}`);
      }
      for (const name of state.keys()) assert.ok(past.mesh.entries.has(name), `seed ${seed} at ${at}: ${name} is missing`);
      assert.equal(past.unsure, present.filter((e) => e.unconfirmed).length);
    }
  }
  assert.ok(entries > 20_000 && unsure < entries / 5, `${unsure} of ${entries}`);
});

test("an entry that is shown as certain is right, even if records were lost", () => {
  let certain = 0;
  let unsure = 0;
  for (let seed = 1; seed <= 15; seed++) {
    const o = run(seed, 6);
    const live = o.live();
    for (const { at, state } of o.states) {
      const past = pastOf(live, o.records, at, 1_000);
      for (const e of past.mesh.entries.values()) {
        if (e.unconfirmed) {
          unsure++;
          continue;
        }
        certain++;
        assert.equal(e.status, state.get(e.name)?.status, `seed ${seed} at ${at}: ${e.name}`);
      }
      const missing = [...state.keys()].filter((name) => !past.mesh.entries.has(name));
      assert.ok(missing.length === 0 || past.gaps.length > 0, `seed ${seed} at ${at}: ${missing}`);
    }
  }
  assert.ok(certain > 10_000 && unsure > 500, `${certain} certain, ${unsure} not`);
});

test("before the oldest record nothing is known", () => {
  const o = run(3, 0);
  const past = pastOf(o.live(), o.records, 999, 1_000);
  assert.deepEqual([past.known, past.mesh.entries.size], [false, 0]);
});

test("what a record does not carry is not shown as of then", () => {
  const mesh = new Mesh();
  mesh.apply({
    snapshot: true, revision: 7, entries: [{
      service: "pay", instance: "a", status: "STATUS_NOT_SERVING", since: "1970-01-01T00:00:01Z", root: "db", nextAt: "1970-01-01T00:00:09Z",
      unconfirmed: true, zone: "eu-1", checks: [{ name: "http" }], override: { author: "ann" },
    }, { service: "pay", instance: "@eu-1", since: "1970-01-01T00:00:01Z" }],
  });
  const e = pastOf(mesh, [], 5_000, 1).mesh.entries.get("pay/a")!;
  assert.deepEqual([e.status, e.root, e.nextAt, e.unconfirmed, e.checks.length, e.override, e.zone], [Status.NotServing, "", 0, false, 0, undefined, "eu-1"]);
  assert.equal(pastOf(mesh, [], 5_000, 1).mesh.entries.has("pay/@eu-1"), false);
});

test("differences are the names whose status or presence differs", () => {
  const mesh = (...list: HealthJson[]): Mesh => {
    const m = new Mesh();
    m.apply({ snapshot: true, revision: 1, entries: list });
    return m;
  };
  const before = mesh({}, { service: "a", instance: "@z" }, { service: "a", status: "STATUS_SERVING" }, { service: "b" }, { service: "c", status: "STATUS_SERVING" });
  const after = mesh({ service: "a", status: "STATUS_DEGRADED" }, { service: "c", status: "STATUS_SERVING", reason: "new" }, { service: "d" });
  assert.deepEqual(differences(before, after).map((d) => [d.name, d.before?.status, d.after?.status]), [["a", 1, 4], ["b", 0, undefined], ["d", undefined, 0]]);
  assert.deepEqual(differences(after, after), []);
});

test("a step goes to the next moment with a record", () => {
  const at = (ms: number): Transition => transitionOf({ at: new Date(ms).toISOString() });
  const records = [at(30), at(20), at(20), at(10)];
  assert.deepEqual([neighbour(records, 20, 1), neighbour(records, 20, -1), neighbour(records, 25, -1), neighbour(records, 30, 1), neighbour(records, 10, -1)], [30, 10, 20, 0, 0]);
});
