// What the instances in trouble have in common that the others do not have. Everything here is pure.
import type { Entry } from "./entry";
import { valueBy } from "./groups";
import { inTrouble } from "./words";
import type { Work } from "./work";

/** One value that most instances in trouble share. */
export interface Shared {
  /** zone, version, label.KEY, cause, or second: the second in which the status began, in ms since 1970. */
  readonly key: string;
  readonly value: string;
  /** How many of the instances in trouble have the value, and how many there are. */
  readonly unwell: number;
  readonly allUnwell: number;
  /** How many of the other instances have the value, and how many there are. Both are 0 for cause and second. */
  readonly well: number;
  readonly allWell: number;
}

/** Fewer instances share too much by chance. */
const fewest = 3;
/** At least this part of the instances in trouble must share the value. It is more than a half, so each key has at most one. */
const leastShare = 0.75;
/** By at least this much the share of those in trouble must exceed the share of the others. */
const leastLead = 0.5;
const mostResults = 3;

/**
 * Returns the values that distinguish the instances in trouble, the most distinctive first. The score of
 * a trait is its share among them minus its share among the others. Cause and second say how the trouble
 * began. Others do not have them, so they come last, and their share is the score.
 */
export function* commonOf(instances: Iterable<Entry>): Work<Shared[]> {
  const unwell: Entry[] = [];
  const well: Entry[] = [];
  for (const e of instances) (inTrouble(e.status) ? unwell : well).push(e);
  yield;
  if (unwell.length < fewest) return [];
  const traits: Shared[] = [];
  for (const key of well.length === 0 ? [] : traitKeys(unwell)) {
    traits.push(sharedBy(key, valueBy(key), unwell, well));
    yield;
  }
  const onsets = [sharedBy("cause", (e) => e.cause, unwell, []), sharedBy("second", secondOf, unwell, [])];
  return [...traits.sort((a, b) => score(b) - score(a)), ...onsets.sort((a, b) => score(b) - score(a))]
    .filter((s) => s.value !== "" && s.unwell / s.allUnwell >= leastShare && score(s) >= leastLead)
    .slice(0, mostResults);
}

const score = (s: Shared): number => s.unwell / s.allUnwell - (s.allWell === 0 ? 0 : s.well / s.allWell);

const traitKeys = (entries: readonly Entry[]): string[] => {
  const labels = new Set<string>();
  for (const e of entries) for (const key in e.labels) labels.add(key);
  return ["version", "zone", ...[...labels].sort().map((key) => `label.${key}`)];
};

const secondOf = (e: Entry): string => (e.since === 0 ? "" : String(Math.floor(e.since / 1000) * 1000));

const sharedBy = (key: string, valueOf: (e: Entry) => string, unwell: readonly Entry[], well: readonly Entry[]): Shared => {
  const value = majorityOf(unwell, valueOf);
  const have = count(unwell, valueOf, value);
  // The others are many, so they are counted only if the result can matter.
  const others = have / unwell.length < leastShare ? [] : well;
  return { key, value, unwell: have, allUnwell: unwell.length, well: count(others, valueOf, value), allWell: others.length };
};

/** The value that more than half of the entries have. If there is none, the result is any value. */
const majorityOf = (entries: readonly Entry[], valueOf: (e: Entry) => string): string => {
  let value = "";
  let lead = 0;
  for (const e of entries) {
    const v = valueOf(e);
    if (lead === 0) value = v;
    lead += v === value ? 1 : -1;
  }
  return value;
};

const count = (entries: readonly Entry[], valueOf: (e: Entry) => string, value: string): number => {
  let n = 0;
  for (const e of entries) if (valueOf(e) === value) n++;
  return n;
};
