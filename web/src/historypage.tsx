// The page of the history: changes per second, bursts, the records, and what differs between two moments.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { Axis, recentStart, type Recorded, soon, useRecords } from "./bars";
import { commonOf } from "./common";
import { type Entry, entryOf, Status } from "./entry";
import { concerns, differences, type Difference } from "./history";
import { Journal } from "./journal";
import { Glyph, Moment, Name, Outside, StatusWord } from "./parts";
import { readPast } from "./past";
import { callErrorOf } from "./protocol";
import { RecordTable } from "./records";
import { parseSelector, quoted } from "./selector";
import { hrefWith, state } from "./state";
import { type Bar, type Burst, burstsOf, histogram } from "./timeline";
import { isChange, type Transition } from "./transition";
import { age, clockTime, dateTime, look, number, plural } from "./words";
import { whole } from "./work";

const ranges: readonly [string, number][] = [["15 minutes", 900_000], ["up to 1 hour", 3_600_000], ["6 hours", 21_600_000], ["24 hours", 86_400_000]];
const usual = 3_600_000;
/** The most records that the page reads for a range. */
const mostRecords = 20_000;
const bars = 60;
const mostBursts = 5;

export const HistoryPage = (): JSX.Element => {
  void state.pulse.value;
  const { q, from: first, to: last, selected } = state.route.value;
  const live = useLiveEnd();
  const to = last || live;
  const chosenFrom = first > 0 && first < to ? first : 0;
  const recorded = useRecords("", chosenFrom || to - usual, last > 0 ? last + 1 : 0, last > 0 ? "" : state.mesh.revision, mostRecords);
  const from = chosenFrom || recentStart(to, recorded.oldest);
  const shown = useMemo(() => chosen(recorded.records, q, selected, from, to), [recorded.records, q, selected, from, to]);
  const bursts = useMemo(() => burstsOf(shown, mostBursts), [shown]);
  return (
    <article class="page history-page">
      <header class="pagehead">
        <h1>History</h1>
        <p class="lead">{dateTime(from)} to {last > 0 ? dateTime(to) : "now"}, {recorded.cut && "at least "}{plural(shown.filter(isChange).length, "change")}</p>
      </header>
      <Ranges length={to - from} isLive={last === 0} isUsual={first === 0} />
      {selected !== "" && <p>Only about <Name name={selected} />. <button type="button" onClick={() => state.go({ selected: "" }, true)}>show everything</button></p>}
      {recorded.error !== "" && <p role="status"><strong>No history:</strong> <Outside text={recorded.error} /></p>}
      <Known recorded={recorded} from={from} />
      <Histogram bars={histogram(shown, from, to, bars)} from={from} to={to} known={recorded.cut ? (recorded.records.at(-1)?.at ?? to) : recorded.oldest} />
      <Scrubber from={from} to={to} />
      <Bursts bursts={bursts} />
      <Compare key={`${first} ${last}`} from={chosenFrom || Math.max(from, recorded.oldest)} to={last} />
      <RecordTable caption="Records, the newest first" records={shown} empty={recorded.loading ? "The history is being read." : "Nothing was recorded in this range."} />
    </article>
  );
};

/** The end of a range that ends now, in steps, so that not every second draws everything again. */
const useLiveEnd = (): number => soon(state.present.value);

const chosen = (records: readonly Transition[], q: string, selected: string, from: number, to: number): readonly Transition[] => {
  const cut = selected.indexOf("/");
  const [service, instance] = cut < 0 ? [selected, ""] : [selected.slice(0, cut), selected.slice(cut + 1)];
  const { matches } = parseSelector(q);
  return records.filter((t) => t.at >= from && t.at <= to && (selected === "" || concerns(t, service, instance)) && (q === "" || t.lost > 0 || (isChange(t) && matches(entryFor(t)))));
};

/** The entry that a change led to, with the labels of now. */
const entryFor = (t: Transition): Entry => ({
  ...(state.mesh.entries.get(t.name) ?? entryOf({ service: t.service, instance: t.instance })!),
  status: t.to, cause: t.cause, reason: t.reason, since: t.at, unconfirmed: false, root: "", override: undefined,
});

const Ranges = ({ length, isLive, isUsual }: { length: number; isLive: boolean; isUsual: boolean }): JSX.Element => (
  <p class="ranges" role="group" aria-label="Range">
    {ranges.map(([words, ms]) => (
      <button key={ms} type="button" aria-pressed={isLive && (isUsual ? ms === usual : Math.abs(length - ms) < 120_000)} onClick={() => state.go({ from: ms === usual ? 0 : soon(state.present.peek()) - ms, to: 0 }, true)}>{words}</button>
    ))}
  </p>
);

/** Says where the known history begins, and what was lost. */
const Known = ({ recorded: r, from }: { recorded: Recorded; from: number }): JSX.Element | null => {
  if (r.loading || r.error !== "") return null;
  const lost = r.records.reduce((n, t) => n + t.lost, 0);
  return (
    <>
      {r.oldest === Infinity && <p class="hint">The coordinator has no records yet.</p>}
      {r.oldest < Infinity && r.oldest > from && <p class="hint">The history begins at {dateTime(r.oldest)}. Nothing is known before that.</p>}
      {r.cut && <p class="hint">Only the newest {number(r.records.length)} records of this range were read.</p>}
      {lost > 0 && <p class="hint">{plural(lost, "record")} of this range {lost === 1 ? "was" : "were"} lost. Torn bars show where.</p>}
    </>
  );
};

/** Changes per bar. Before the moment `known` no records were read. */
const Histogram = ({ bars: list, from, to, known }: { bars: readonly Bar[]; from: number; to: number; known: number }): JSX.Element => {
  const most = Math.max(1, ...list.map((b) => b.changes));
  const peak = list.reduce((a, b) => (b.changes > a.changes ? b : a));
  const seconds = (to - from) / list.length / 1000;
  const words = peak.changes === 0 ? "No changes." : `Most changes from ${clockTime(peak.from)} to ${clockTime(peak.to)}: ${number(peak.changes)}, ${rate(peak.changes / seconds)} a second.`;
  return (
    <figure class="histogram">
      <div class="histogram-bars" role="img" aria-label={words}>
        {list.map((b) => (
          <span key={b.from} class={b.to < known ? "column unread" : b.lost > 0 ? "column torn" : "column"} title={b.to < known ? "nothing known" : `${clockTime(b.from)} to ${clockTime(b.to)}: ${plural(b.changes, "change")}${b.lost > 0 ? `, ${number(b.lost)} lost` : ""}`}
            onClick={() => state.go({ from: Math.round(b.from), to: Math.round(b.to) })}>
            <span style={{ height: `${b.changes === 0 ? 0 : Math.max(3, (100 * b.changes) / most)}%` }} />
          </span>
        ))}
      </div>
      <Axis from={from} to={to} />
      <figcaption>{words}</figcaption>
    </figure>
  );
};

const rate = (n: number): string => (n >= 10 ? number(Math.round(n)) : String(Number(n.toPrecision(2))));

/** Shows the mesh as of any moment of the range. */
const Scrubber = ({ from, to }: { from: number; to: number }): JSX.Element => {
  const { at } = state.route.value;
  return (
    <label class="scrubber">
      <span>Show the mesh as of</span>{" "}
      <input type="range" min={from} max={to} step={1000} value={at > 0 ? at : to} onChange={(e) => state.go({ at: Number(e.currentTarget.value) >= to - 1000 ? 0 : Number(e.currentTarget.value) })} aria-valuetext={at > 0 ? dateTime(at) : "now"} />{" "}
      <output>{at > 0 ? dateTime(at) : "now"}</output>
    </label>
  );
};

const Bursts = ({ bursts }: { bursts: readonly Burst[] }): JSX.Element | null =>
  bursts.length === 0 ? null : (
    <section>
      <h2>Biggest bursts</h2>
      <ol class="bursts">
        {bursts.map((b) => (
          <li key={b.from}>
            <Moment at={b.from} /> <strong>{plural(b.changes.length, "change")}</strong>, {leading(b)}, in {b.to - b.from < 1000 ? `${((b.to - b.from) / 1000).toFixed(1)} s` : age(b.to - b.from)}<Shares burst={b} />{" "}
            <button type="button" onClick={() => state.go({ at: b.from - 1 })}>the mesh before</button> <button type="button" onClick={() => state.go({ at: b.to })}>after</button>
          </li>
        ))}
      </ol>
    </section>
  );

/** The status that most changes of a burst led to. */
const leading = (b: Burst): string => {
  const counts = new Map<string, number>();
  for (const t of b.changes) {
    const word = t.removed ? "removal" : look[t.to].word;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const [word, n] = [...counts].reduce((a, c) => (c[1] > a[1] ? c : a));
  return n === b.changes.length ? `all to ${word}` : `${number(n)} to ${word}`;
};

/** What the instances of a burst share and the others do not. */
const Shares = ({ burst }: { burst: Burst }): JSX.Element | null => {
  const changed = new Map(burst.changes.map((t) => [t.name, t]));
  const shared = useMemo(() => {
    const entries: Entry[] = [...changed.values()].map((t) => ({ ...entryFor(t), status: Status.NotServing, since: 0 }));
    for (const e of state.mesh.entries.values()) if (e.kind === "instance" && !changed.has(e.name)) entries.push({ ...e, status: Status.Serving });
    return whole(commonOf(entries))[0];
  }, [burst]);
  const services = new Set(burst.changes.map((t) => t.service));
  if (services.size === 1) return <>, of <Name name={burst.changes[0]!.service} /></>;
  if (shared === undefined) return <>, of {plural(services.size, "service")}</>;
  const filter = `${shared.key}=${quoted(shared.value)}`;
  return <>, {shared.unwell === shared.allUnwell ? "all" : `${shared.unwell} of ${shared.allUnwell} instances`} with <a href={hrefWith({ q: filter })}><Outside text={filter} /></a></>;
};

interface Compared {
  readonly list: readonly Difference[];
  readonly unsure: number;
  readonly known: boolean;
}

/** What differs between the two ends of the range. It is read on demand. */
const Compare = ({ from, to }: { from: number; to: number }): JSX.Element => {
  const found = useSignal<Compared | undefined>(undefined);
  const problem = useSignal("");
  const wanted = useSignal(false);
  useEffect(() => {
    if (!wanted.value) return;
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      const live = state.mesh.copy();
      const journal = new Journal({ name: "", from: 0, to: 0 });
      const after = to === 0 ? undefined : await readPast(live, journal, to, stop.signal);
      const before = await readPast(live, journal, from, stop.signal);
      found.value = { list: differences(before.mesh, after?.mesh ?? live), unsure: before.unsure + (after?.unsure ?? 0), known: before.known && (after?.known ?? true) };
    };
    read().catch((e: unknown) => stop.signal.aborted || (problem.value = callErrorOf(e).message));
    return () => stop.abort();
  }, [wanted.value]);
  const c = found.value;
  if (!wanted.value) return <p><button type="button" onClick={() => (wanted.value = true)}>compare the two ends of the range</button></p>;
  if (problem.value !== "") return <p role="status"><strong>No comparison:</strong> <Outside text={problem.value} /></p>;
  if (c === undefined) return <p aria-busy="true">The history is being read.</p>;
  if (!c.known) return <p role="status">Nothing is known about the mesh at {dateTime(from)}: the history begins later.</p>;
  return (
    <section>
      <h2>What differs between {dateTime(from)} and {to === 0 ? "now" : dateTime(to)}</h2>
      {c.unsure > 0 && <p class="hint">{number(c.unsure)} {c.unsure === 1 ? "status" : "statuses"} of these moments {c.unsure === 1 ? "is" : "are"} not certain and marked as unconfirmed.</p>}
      {c.list.length === 0 ? <p>All statuses are the same.</p> : (
        <div class="tablebox">
          <table>
            <caption>{plural(c.list.length, "difference")}</caption>
            <thead><tr><th scope="col">name</th><th scope="col">then</th><th scope="col">{to === 0 ? "now" : "later"}</th></tr></thead>
            <tbody>{c.list.slice(0, 500).map((d) => <tr key={d.name}><th scope="row"><Name name={d.name} /></th><td><Then entry={d.before} /></td><td><Then entry={d.after} /></td></tr>)}</tbody>
          </table>
          {c.list.length > 500 && <p class="hint">{number(c.list.length - 500)} more differ.</p>}
        </div>
      )}
    </section>
  );
};

const Then = ({ entry }: { entry: Entry | undefined }): JSX.Element => (entry === undefined ? <span class="hint"><Glyph status={Status.ServiceUnknown} /> not registered</span> : <StatusWord entry={entry} />);
