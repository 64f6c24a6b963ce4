// Which entries come first: the worst, the roots with what they affect, and the others that are unwell.
import { type Entry, Status } from "./entry";
import type { Mesh } from "./mesh";
import { inTrouble, look, whyOf } from "./words";
import type { Work } from "./work";

/** After so many entries, work can be interrupted. */
const between = 500;

/** A higher number is worse. Of two entries with one status, the one that is unconfirmed or forced is worse. */
export const severity = (e: Entry): number => 2 * look[e.status].rank + (e.unconfirmed || e.override !== undefined ? 1 : 0);

/** An entry that is SERVING, confirmed and not forced. */
export const isWell = (e: Entry): boolean => severity(e) === 2 * look[Status.Serving].rank;

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Compares two entries: the worse one first, then by name. */
export const worseFirst = (a: Entry, b: Entry): number => severity(b) - severity(a) || byName(a.name, b.name);

/** The entries for which `matches` is true, as worseFirst orders them. */
export function* worstOf(m: Mesh, matches: (e: Entry) => boolean): Work<Entry[]> {
  const buckets: Entry[][] = [];
  let n = 0;
  for (const e of m.entries.values()) {
    if (matches(e)) (buckets[severity(e)] ??= []).push(e);
    if (++n % between === 0) yield;
  }
  // The coordinator sends a snapshot in the order of names, so nearly all are in order. Then sorting takes linear time.
  for (const b of buckets) {
    b?.sort((x, y) => byName(x.name, y.name));
    yield;
  }
  return buckets.reverse().flat();
}

/** A service that causes the trouble of others. */
export interface Root {
  readonly entry: Entry;
  /** The services that it affects, without itself. */
  readonly services: readonly Entry[];
  /** The number of instances in trouble of these services. */
  readonly instances: number;
}

/** The roots, the one with the most affected services first. */
export const rootsOf = (m: Mesh): Root[] => {
  const affected = new Map<string, Entry[]>();
  for (const e of m.services.values()) {
    if (e.root === "" || e.root === e.name) continue;
    const of = affected.get(e.root);
    if (of) of.push(e);
    else affected.set(e.root, [e]);
  }
  const roots: Root[] = [];
  for (const [name, services] of affected) {
    const entry = m.entries.get(name);
    if (entry) roots.push({ entry, services, instances: services.reduce((n, e) => n + unwellInstances(e), 0) });
  }
  return roots.sort((a, b) => b.services.length - a.services.length || worseFirst(a.entry, b.entry));
};

const unwellInstances = ({ counts: c }: Entry): number => (c?.degraded ?? 0) + (c?.notServing ?? 0) + (c?.unknown ?? 0);

/** The services in trouble that are no root and have none, the worst first. */
export const othersOf = (m: Mesh, roots: readonly Root[]): Entry[] => {
  const names = new Set(roots.map((r) => r.entry.name));
  return [...m.services.values()].filter((e) => inTrouble(e.status) && e.root === "" && !names.has(e.name)).sort(worseFirst);
};

/**
 * Why an entry has its status, in the words of the coordinator. For a service in trouble these are the
 * words about its worst instance, because its own are only numbers.
 */
export const whyIn = (m: Mesh, e: Entry): string => {
  if (e.kind !== "service" || !inTrouble(e.status)) return whyOf(e);
  let worst: Entry | undefined;
  for (const name of m.instancesOf.get(e.service) ?? []) {
    const i = m.instances.get(name)!;
    if (inTrouble(i.status) && whyOf(i) !== "" && (!worst || worseFirst(i, worst) < 0)) worst = i;
  }
  return whyOf(worst ?? e);
};
