// Where the records of the history stand on an axis of time. Everything here is pure.
import { type Entry, meshName, type Status } from "./entry";
import { begins, type Transition, isChange } from "./transition";

/** A part of the axis in which a name has one status. Times are milliseconds. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  /** Undefined means that the name did not exist, or that it is not known whether it did. */
  readonly status: Status | undefined;
  /** Records were lost in this part, so that the status is not certain. */
  readonly torn: boolean;
}

/**
 * Returns the statuses of one name between two moments, the oldest first and without holes. `records`
 * are the changes of the name and the gaps, newest first, and may be older or newer than the range. `now`
 * is the entry at the end of the range, or undefined if there is none. `oldest` is the time of the oldest
 * record that is kept. Before it nothing is known, unless a status has held since then.
 */
export const segmentsOf = (records: readonly Transition[], now: Entry | undefined, from: number, to: number, oldest: number): Segment[] => {
  const found: Segment[] = [];
  let end = to;
  let status = now?.status;
  let began = now?.since ?? 0; // the status is known from here on
  let torn = false;
  const close = (start: number): void => {
    const begin = Math.max(from, Math.min(start, end));
    if (end > begin) found.push({ from: begin, to: end, status, torn });
    end = begin;
  };
  for (const t of records) {
    if (t.lost > 0) {
      if (began > 0 && t.at > began) continue; // the status has held since before the gap
      if (began > 0) {
        close(began);
        status = undefined;
        began = 0;
      }
      close(t.at);
      torn = true;
      continue;
    }
    if (!isChange(t)) continue;
    if (t.at > to) {
      status = t.from;
      began = 0;
      continue;
    }
    close(t.at);
    if (end <= from) break;
    status = begins(t) ? undefined : t.from;
    began = 0;
    torn = false;
  }
  if (began > 0 && began < end) {
    close(began);
    status = undefined;
  }
  if (oldest > from) {
    close(oldest);
    status = undefined;
  }
  close(from);
  return found.reverse();
};

/** One bar of a histogram. */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly changes: number;
  /** Records that were lost in this time. */
  readonly lost: number;
}

/** Counts the changes between two moments in bars of equal length. */
export const histogram = (records: readonly Transition[], from: number, to: number, bars: number): Bar[] => {
  const length = (to - from) / bars;
  const changes = new Array<number>(bars).fill(0);
  const lost = new Array<number>(bars).fill(0);
  for (const t of records) {
    if (t.at < from || t.at > to) continue;
    const i = Math.min(bars - 1, Math.floor((t.at - from) / length));
    if (t.lost > 0) lost[i]! += t.lost;
    else if (isChange(t)) changes[i]!++;
  }
  return changes.map((n, i) => ({ from: from + i * length, to: from + (i + 1) * length, changes: n, lost: lost[i]! }));
};

/** Changes of instances that follow each other closely. */
export interface Burst {
  readonly from: number;
  readonly to: number;
  /** The newest first. */
  readonly changes: readonly Transition[];
}

/** Two changes belong to one burst if at most this many milliseconds lie between them. */
export const burstPause = 1_000;

/** Returns the bursts with the most changes of instances, the biggest first. A burst has at least 3 changes. */
export const burstsOf = (records: readonly Transition[], most: number): Burst[] => {
  const bursts: Burst[] = [];
  let current: Transition[] = [];
  const end = (): void => {
    if (current.length >= 3) bursts.push({ from: current[current.length - 1]!.at, to: current[0]!.at, changes: current });
    current = [];
  };
  for (const t of records) {
    if (!isChange(t) || t.instance === "" || t.service === meshName) continue;
    if (current.length > 0 && current[current.length - 1]!.at - t.at > burstPause) end();
    current.push(t);
  }
  end();
  return bursts.sort((a, b) => b.changes.length - a.changes.length || b.from - a.from).slice(0, most);
};

/** A mark of an axis. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map((s) => s * 1000);

/** Returns marks at round times, at most `most` of them. `offset` is the zone's difference to UTC in milliseconds. */
export const ticks = (from: number, to: number, most: number, offset = 0): Tick[] => {
  const wanted = (to - from) / Math.max(1, most);
  const step = steps.find((s) => s >= wanted) ?? Math.ceil(wanted / 86_400_000) * 86_400_000;
  const found: Tick[] = [];
  for (let at = Math.ceil((from + offset) / step) * step - offset; at <= to && found.length < most; at += step) {
    const local = new Date(at + offset).toISOString();
    found.push({ at, label: step >= 86_400_000 ? local.slice(5, 10) : step >= 60_000 ? local.slice(11, 16) : local.slice(11, 19) });
  }
  return found;
};
