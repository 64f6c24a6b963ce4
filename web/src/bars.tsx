// Statuses along an axis of time: one bar for each name.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Journal, oldestRecord } from "./journal";
import { Name, Outside } from "./parts";
import { callErrorOf } from "./protocol";
import { state } from "./state";
import { type Segment, segmentsOf, ticks } from "./timeline";
import type { Transition } from "./transition";
import { age, clockTime, dateTime, look } from "./words";

/** The records of a name in a range, as far as they have been read. */
export interface Recorded {
  readonly records: readonly Transition[];
  /** The time of the oldest record of the whole history. */
  readonly oldest: number;
  readonly loading: boolean;
  readonly error: string;
  /** There are older records in the range than the ones that were read. */
  readonly cut: boolean;
}

const nothing: Recorded = { records: [], oldest: 0, loading: true, error: "", cut: false };
/** How often new records are read at most, in ms. */
const readEvery = 1000;
/** The beginning of a range that moves is rounded down by this many ms, so that it is rarely read again. */
const grain = 600_000;

/**
 * Reads the records of a name in a range, and then the new ones whenever `version` has changed. `to` is the
 * moment after the range, or 0 if it has no end.
 */
export const useRecords = (name: string, from: number, to: number, version: unknown, most = 2000): Recorded => {
  const begin = Math.floor(from / grain) * grain;
  const range = `${name}\n${begin}\n${to}`;
  const found = useSignal<Recorded & { readonly range: string }>({ ...nothing, range });
  const wanted = useRef(version);
  wanted.current = version;
  const connected = state.connection.value.state === "live" || state.connection.value.state === "old-build";
  useEffect(() => {
    if (!connected) return;
    const stop = new AbortController();
    let have: unknown = stop; // equals no version
    let busy = false;
    const read = async (): Promise<void> => {
      if (busy || have === wanted.current) return;
      busy = true;
      const reading = wanted.current;
      try {
        const before = found.peek().range === range && !found.peek().loading ? found.peek() : undefined;
        const oldest = await oldestRecord();
        const newest = before?.records[0]?.at ?? begin;
        const journal = new Journal({ name, from: newest, to });
        await journal.read(most, () => false, stop.signal);
        const records = [...journal.records, ...(journal.done ? (before?.records ?? []).filter((t) => t.at < newest) : [])];
        found.value = {
          range, records: records.slice(0, most), oldest, loading: false, error: "", cut: !journal.done || records.length > most || (before?.cut ?? false),
        };
        have = reading;
      } catch (e) {
        if (!stop.signal.aborted) found.value = { ...nothing, range, loading: false, error: callErrorOf(e).message };
      }
      busy = false;
    };
    void read();
    const timer = setInterval(() => void read(), readEvery);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [range, most, connected]);
  return found.value.range === range ? found.value : nothing;
};

const hour = 3_600_000;
const shortest = 300_000;

/** Rounds a moment up, so that what depends on it does not change every second. */
export const soon = (ms: number): number => Math.ceil(ms / 5000) * 5000;

/** The beginning of a range of at most an hour, and not much longer than the history. */
export const recentStart = (to: number, oldest: number): number => to - Math.min(hour, Math.max(shortest, to - oldest));

interface TimelineProps {
  readonly names: readonly string[];
  readonly recorded: Recorded;
  readonly from: number;
  readonly to: number;
}

/** One bar for each name, over one axis. A click on a bar shows the mesh as of that moment. */
export const Timeline = ({ names, recorded, from, to }: TimelineProps): JSX.Element => (
  <div class="timeline">
    {recorded.error !== "" && <p role="status"><strong>No history:</strong> <Outside text={recorded.error} /></p>}
    {names.map((name) => {
      const own = recorded.records.filter((t) => t.lost > 0 || t.name === name);
      const begin = recorded.cut ? (recorded.records.at(-1)?.at ?? to) : recorded.oldest;
      return (
        <div key={name} class="timeline-row">
          <span class="timeline-name"><Name name={name} /></span>
          {recorded.loading ? <span class="bar-track" aria-busy="true" /> : <Bar segments={segmentsOf(own, state.mesh.entries.get(name), from, to, begin)} from={from} to={to} />}
        </div>
      );
    })}
    <Axis from={from} to={to} />
    {recorded.records.some((t) => t.lost > 0) && <p class="hint">Where a bar is torn, records were lost. Nothing is drawn in their place.</p>}
    {recorded.cut && <p class="hint">There are more records than the {recorded.records.length} that were read. Before them the bars are empty.</p>}
  </div>
);

const wordOf = (s: Segment): string => (s.torn ? "records lost" : s.status === undefined ? "nothing known" : look[s.status].word);

const Bar = ({ segments, from, to }: { segments: readonly Segment[]; from: number; to: number }): JSX.Element => {
  const share = (ms: number): string => `${(100 * ms) / (to - from)}%`;
  const said = segments.slice(-12).map((s) => `${wordOf(s)} from ${clockTime(s.from)} for ${age(s.to - s.from)}`).join(", ");
  return (
    <span class="bar-track" role="img" aria-label={said} onClick={(e) => travelTo(e, from, to)}>
      {segments.map((s) => (
        <span
          key={s.from} class={`bar ${s.torn ? "torn" : s.status === undefined ? "nothing" : look[s.status].className}`}
          style={{ left: share(s.from - from), width: share(s.to - s.from) }} title={`${wordOf(s)}, ${dateTime(s.from)} to ${clockTime(s.to)}`}
        />
      ))}
      {state.route.value.at >= from && state.route.value.at <= to && <span class="bar-now" style={{ left: share(state.route.value.at - from) }} />}
    </span>
  );
};

const travelTo = (e: MouseEvent, from: number, to: number): void => {
  const box = (e.currentTarget as HTMLElement).getBoundingClientRect();
  state.go({ at: Math.round(from + ((e.clientX - box.left) / box.width) * (to - from)) });
};

/** A mark after this part of the axis has no label, because a narrow page would cut it off. */
const lastLabel = 0.83;

/** The marks below bars. */
export const Axis = ({ from, to }: { from: number; to: number }): JSX.Element => {
  const offset = -new Date(from).getTimezoneOffset() * 60_000;
  return (
    <div class="axis" aria-hidden="true">
      {ticks(from, to, 7, offset).map((t) => <span key={t.at} style={{ left: `${(100 * (t.at - from)) / (to - from)}%` }}>{t.at - from < lastLabel * (to - from) && t.label}</span>)}
    </div>
  );
};
