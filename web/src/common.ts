// What the instances in trouble have in common that the others do not have. Everything here is pure.
import type { Entry } from "./entry";
import { inTrouble } from "./words";

/** One value that the instances in trouble share. */
export interface Shared {
  /** zone, version, label.KEY, cause, or second: the second in which the status began, in ms since 1970. */
  readonly key: string;
  readonly value: string;
  /** How many of the instances in trouble have the value, and how many there are. */
  readonly unwell: number;
  readonly allUnwell: number;
  /** How many of the other instances have the value, and how many there are. */
  readonly well: number;
  readonly allWell: number;
}

/** Fewer instances share too much by chance. */
const fewest = 3;
/** At least this part of the instances in trouble must share the value. */
const leastShare = 0.75;
/** By at least this much the share of those in trouble must exceed the share of the others. */
const leastLead = 0.5;
const mostResults = 3;

interface Tally {
  readonly key: string;
  readonly value: string;
  unwell: number;
  well: number;
}

/**
 * Returns the values that distinguish the instances in trouble, the most distinctive first. The score of
 * a value is its share among them minus its share among the others. Cause and second say only how the
 * trouble began, so they come after the values that an instance had before.
 */
export const commonOf = (instances: Iterable<Entry>): Shared[] => {
  const unwell: Entry[] = [];
  const well: Entry[] = [];
  for (const e of instances) (inTrouble(e.status) ? unwell : well).push(e);
  if (unwell.length < fewest) return [];
  const tallies = new Map<string, Tally>();
  for (const e of unwell) {
    for (const [key, value] of [...traitsOf(e), ...onsetOf(e)]) {
      const id = `${key}=${value}`;
      const t = tallies.get(id);
      if (t) t.unwell++;
      else tallies.set(id, { key, value, unwell: 1, well: 0 });
    }
  }
  for (const [id, t] of tallies) if (t.unwell / unwell.length < leastShare) tallies.delete(id);
  if (tallies.size === 0) return [];
  for (const e of well) {
    for (const [key, value] of traitsOf(e)) {
      const t = tallies.get(`${key}=${value}`);
      if (t) t.well++;
    }
  }
  // Without others, no trait distinguishes anything.
  const score = (t: Tally): number => t.unwell / unwell.length - (isOnset(t) ? 0 : well.length === 0 ? 1 : t.well / well.length);
  return [...tallies.values()]
    .filter((t) => score(t) >= leastLead)
    .sort((a, b) => Number(isOnset(a)) - Number(isOnset(b)) || score(b) - score(a) || (a.key < b.key ? -1 : 1))
    .slice(0, mostResults)
    .map((t) => ({ ...t, allUnwell: unwell.length, allWell: well.length }));
};

/** What an instance had before the trouble began. */
function* traitsOf(e: Entry): Generator<readonly [string, string]> {
  if (e.zone !== "") yield ["zone", e.zone];
  if (e.version !== "") yield ["version", e.version];
  for (const key in e.labels) yield [`label.${key}`, e.labels[key]!];
}

/** How the trouble of an instance began. */
function* onsetOf(e: Entry): Generator<readonly [string, string]> {
  if (e.cause !== "") yield ["cause", e.cause];
  if (e.since > 0) yield ["second", String(Math.floor(e.since / 1000) * 1000)];
}

const isOnset = (t: Tally): boolean => t.key === "cause" || t.key === "second";
