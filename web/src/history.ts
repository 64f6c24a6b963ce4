// The mesh as of an earlier moment: the live mesh, from which the records of the history are undone.
// Everything here is pure.
import type { CountsJson } from "./gen/meshhealth/v1/health_pb";
import { type Entry, Status, entryOf, meshName } from "./entry";
import { Mesh } from "./mesh";
import { begins, type Transition, isChange } from "./transition";

/** What is known of the mesh as of a moment. */
export interface Past {
  /** An entry whose status is not certain is unconfirmed, and its reason says why. */
  readonly mesh: Mesh;
  readonly at: number;
  /** The moment is not before the oldest record. If it is, nothing is known and the mesh is empty. */
  readonly known: boolean;
  /** The number of entries whose status or presence is not certain. */
  readonly unsure: number;
  /** The gaps after the moment, the newest first. */
  readonly gaps: readonly Transition[];
}

/**
 * Returns the mesh as of `at`. `records` are newest first, have every record after `at`, and should have
 * some before it: these tell since when a status held, and why. `oldest` is the time of the oldest
 * record that the coordinator keeps, or 0 if that is not known to be after `at`.
 *
 * A record carries status, cause, reason and the first failure. The other values that change are empty:
 * checks, overrides, roots and the next change. Labels, zones, versions and addresses are those of now.
 * Services in one zone are missing, because the history does not contain them.
 */
export const pastOf = (live: Mesh, records: readonly Transition[], at: number, oldest: number): Past => {
  const gaps = records.filter((t) => t.lost > 0 && t.at > at);
  if (oldest > at) return { mesh: new Mesh(), at, known: false, unsure: 0, gaps };
  const sides = split(records, at);
  const complete = (records.at(-1)?.at ?? Infinity) <= oldest;
  const began = new Set<string>(); // aggregates that did not exist yet
  for (const [name, { change, gaps: newer }] of sides.after) {
    const prev = sides.before.get(name);
    const certain = newer === gaps.length && prev?.torn !== true;
    if (begins(change) && certain && (prev === undefined ? complete : prev.change.removed)) began.add(name);
  }
  const entries = new Map<string, Entry>();
  for (const name of new Set([...live.entries.keys(), ...sides.after.keys()])) {
    const slash = name.indexOf("/");
    if (began.has(name) || began.has(slash < 0 ? name : name.slice(0, slash))) continue; // an instance is not older than its service
    const entry = entryAt(live.entries.get(name), sides.after.get(name), sides.before.get(name), gaps.length, at);
    if (entry !== undefined) entries.set(name, entry);
  }
  const mesh = new Mesh();
  mesh.revision = live.revision;
  keepPresent(entries, gaps.length > 0);
  count(entries);
  for (const e of entries.values()) mesh.add(e);
  let unsure = 0;
  for (const e of entries.values()) if (e.unconfirmed) unsure++;
  return { mesh, at, known: true, unsure, gaps };
};

/** The oldest change of a name after the moment, and the number of gaps after that change. */
interface After {
  readonly change: Transition;
  readonly gaps: number;
}

/** The newest change of a name at or before the moment. `torn` says that a gap lies between both. */
interface Before {
  readonly change: Transition;
  readonly torn: boolean;
}

const split = (records: readonly Transition[], at: number): { after: Map<string, After>; before: Map<string, Before> } => {
  const after = new Map<string, After>();
  const before = new Map<string, Before>();
  let gaps = 0;
  let torn = false;
  for (const t of records) {
    if (t.lost > 0) {
      if (t.at > at) gaps++;
      else torn = true;
    } else if (!isChange(t)) {
      continue;
    } else if (t.at > at) {
      after.set(t.name, { change: t, gaps });
    } else if (!before.has(t.name)) {
      before.set(t.name, { change: t, torn });
    }
  }
  return { after, before };
};

const inGap = "Records were lost, so that the status of this moment is not certain.";
const perhapsNotYet = "It may not have been registered yet: the history does not contain registrations.";
const broken = "The records before and after this moment do not agree.";

/** Returns one entry as of `at`, or undefined if it did not exist. `gaps` is the number of gaps after `at`. */
const entryAt = (live: Entry | undefined, after: After | undefined, before: Before | undefined, gaps: number, at: number): Entry | undefined => {
  const kind = live?.kind ?? kindOf(after!.change);
  if (kind === "service-zone") return undefined;
  const prev = before !== undefined && !before.torn ? before.change : undefined;
  if (after === undefined) {
    if (live!.since <= at) return undone(live, live!.service, live!.instance, live!.status, since(prev, live!), at, "");
    if (gaps > 0) return undone(live, live!.service, live!.instance, prev?.removed === false ? prev.to : Status.Unknown, prev, at, inGap);
    if (prev !== undefined && !prev.removed) return undone(live, live!.service, live!.instance, prev.to, prev, at, broken);
    // The registration of an instance has no record, and the records of the last moments may not be stored yet.
    const unrecorded = kind === "coordinator" || (kind === "instance" && live!.status === Status.Starting);
    return unrecorded ? undefined : undone(live, live!.service, live!.instance, Status.Unknown, undefined, at, broken);
  }
  const t = after.change;
  let doubt = "";
  if (after.gaps < gaps || before?.torn) doubt = inGap;
  else if (kind === "instance" && (prev === undefined ? t.from === Status.Starting : prev.removed)) doubt = perhapsNotYet;
  else if (prev !== undefined && !prev.removed && prev.to !== t.from) doubt = broken;
  return undone(live, t.service, t.instance, t.from, prev?.to === t.from && !prev.removed ? prev : undefined, at, doubt);
};

/** The change that began the present status of an entry. Without its record, the entry itself says when and why. */
const since = (prev: Transition | undefined, live: Entry): Pick<Transition, "at" | "cause" | "reason" | "firstFailure"> =>
  prev !== undefined && prev.to === live.status && !prev.removed ? prev : { at: live.since, cause: live.cause, reason: live.reason, firstFailure: live.firstFailure };

const undone = (
  live: Entry | undefined, service: string, instance: string, status: Status,
  began: Pick<Transition, "at" | "cause" | "reason" | "firstFailure"> | undefined, at: number, doubt: string,
): Entry => ({
  ...(live ?? entryOf({ service, instance })!),
  status,
  cause: began?.cause ?? "",
  reason: doubt !== "" ? doubt : (began?.reason ?? ""),
  since: began?.at ?? 0,
  firstFailure: began?.firstFailure ?? 0,
  unconfirmed: doubt !== "",
  root: "", affected: 0, nextAt: 0, nextCause: "", checks: [], override: undefined, counts: undefined, at,
});

const kindOf = (t: Transition): Entry["kind"] => entryOf({ service: t.service, instance: t.instance })!.kind;

/**
 * Removes services without instances: a service exists as long as it has one. A service whose status
 * began before the moment certainly existed.
 */
const keepPresent = (entries: Map<string, Entry>, torn: boolean): void => {
  const inhabited = new Map<string, boolean>(); // whether an instance of the service certainly existed
  for (const e of entries.values()) if (e.kind === "instance") inhabited.set(e.service, (inhabited.get(e.service) ?? false) || !e.unconfirmed);
  for (const e of [...entries.values()]) {
    if (e.kind !== "service" || e.since > 0 || e.unconfirmed) continue;
    const certain = inhabited.get(e.service);
    if (certain === undefined && !torn) entries.delete(e.name);
    else if (certain !== true) entries.set(e.name, { ...e, unconfirmed: true, reason: torn ? inGap : perhapsNotYet });
  }
};

const countNames = {
  [Status.Serving]: "serving", [Status.Degraded]: "degraded", [Status.NotServing]: "notServing", [Status.Starting]: "starting",
  [Status.Draining]: "draining", [Status.Maintenance]: "maintenance", [Status.Unknown]: "unknown", [Status.ServiceUnknown]: "unknown",
} as const satisfies Record<Status, keyof CountsJson>;

/** Counts the instances of each service and the services of the mesh. Zones have no counts. */
const count = (entries: Map<string, Entry>): void => {
  const counts = new Map<string, Record<string, number>>();
  for (const e of entries.values()) {
    if (e.kind !== "instance" && e.kind !== "service") continue;
    const whole = e.kind === "instance" ? e.service : meshName;
    let c = counts.get(whole);
    if (c === undefined) counts.set(whole, (c = {}));
    const key = countNames[e.status];
    c[key] = (c[key] ?? 0) + 1;
    if (e.unconfirmed) c.unconfirmed = (c.unconfirmed ?? 0) + 1;
  }
  for (const [name, c] of counts) {
    const e = entries.get(name);
    if (e !== undefined) entries.set(name, { ...e, counts: c });
  }
};

/** One name that differs between two moments. `before` or `after` is undefined if it did not exist then. */
export interface Difference {
  readonly name: string;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/** Returns the names whose status or presence differs, ordered by name. It omits the names that the history omits. */
export const differences = (before: Mesh, after: Mesh): Difference[] => {
  const found: Difference[] = [];
  for (const [name, a] of after.entries) {
    const b = before.entries.get(name);
    if (b?.status !== a.status) found.push({ name, before: b, after: a });
  }
  for (const [name, b] of before.entries) if (!after.entries.has(name)) found.push({ name, before: b, after: undefined });
  const recorded = (d: Difference): boolean => !["service-zone", "coordinator"].includes((d.after ?? d.before)!.kind);
  return found.filter(recorded).sort((a, b) => (a.name < b.name ? -1 : 1));
};

/** The moment of the record next to `at` in a direction, or 0 if there is none. `records` are newest first. */
export const neighbour = (records: readonly Transition[], at: number, direction: -1 | 1): number => {
  let best = 0;
  for (const t of records) {
    if (direction > 0 ? t.at > at && (best === 0 || t.at < best) : t.at < at && t.at > best) best = t.at;
  }
  return best;
};

/** Reports whether a record is about a name, as ListTransitionsRequest.name means it. Gaps are about every name. */
export const concerns = (t: Transition, service: string, instance: string): boolean =>
  t.lost > 0 || (t.service === service && (instance === "" || t.instance === instance));
