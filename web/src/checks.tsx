// The checks that instances report.
import type { JSX } from "preact";
import { causeOf, type Entry, Status, statusOf } from "./entry";
import { durationOf } from "./duration";
import { Age, Glyph, Name, Outside } from "./parts";
import { look, number } from "./words";

/** A check as its process has published it. */
interface Check {
  readonly name: string;
  readonly status: Status;
  readonly cause: string;
  readonly reason: string;
  /** When the last run ended, or 0. */
  readonly lastRun: number;
  readonly responseTime: number;
  readonly passes: number;
  readonly fails: number;
  readonly value: string;
  readonly runs: number;
  readonly failures: number;
}

const checksOf = (e: Entry): Check[] =>
  e.checks.map((c) => ({
    name: c.name ?? "",
    status: statusOf(c.status),
    cause: causeOf(c.cause),
    reason: c.reason ?? "",
    lastRun: c.lastRunAge === undefined ? 0 : e.at - durationOf(c.lastRunAge),
    responseTime: durationOf(c.responseTime),
    passes: c.passes ?? 0,
    fails: c.fails ?? 0,
    value: c.observedValue === undefined ? "" : `${c.observedValue} ${c.observedUnit ?? ""}`,
    runs: Number(c.runs ?? 0),
    failures: Number(c.failures ?? 0),
  }));

const worstFirst = (a: Check, b: Check): number => look[b.status].rank - look[a.status].rank || (a.name < b.name ? -1 : 1);

/** The checks of one instance. */
export const CheckTable = ({ entry }: { entry: Entry }): JSX.Element => {
  const checks = checksOf(entry).sort(worstFirst);
  if (checks.length === 0) return <p class="hint">It reports no checks.</p>;
  return (
    <div class="tablebox">
      <table class="checks">
        <caption>Checks, the worst first</caption>
        <thead>
          <tr>
            <th scope="col">status</th><th scope="col">check</th><th scope="col">in a row</th><th scope="col">last run</th>
            <th scope="col">took</th><th scope="col">runs</th><th scope="col">value</th><th scope="col">why</th>
          </tr>
        </thead>
        <tbody>
          {checks.map((c) => (
            <tr key={c.name}>
              <td class="c-status"><Glyph status={c.status} /> {look[c.status].word}</td>
              <th scope="row"><Outside text={c.name} /></th>
              <td>{c.fails > 0 ? `${number(c.fails)} failed` : `${number(c.passes)} passed`}</td>
              <td>{c.lastRun > 0 && <><Age since={c.lastRun} /> ago</>}</td>
              <td>{inMilliseconds(c.responseTime)}</td>
              <td>{number(c.failures)} of {number(c.runs)} failed</td>
              <td><Outside text={c.value} /></td>
              <td class="c-why"><Outside text={c.reason || c.cause} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};

/** A short time with three digits, such as `12.3 ms`. */
export const inMilliseconds = (ms: number): string => (ms >= 1000 ? `${(ms / 1000).toPrecision(3)} s` : `${Number(ms.toPrecision(3))} ms`);

/** One row for each check of the instances, with how many of them pass it. */
export const CheckSummary = ({ instances }: { instances: readonly Entry[] }): JSX.Element => {
  const checks = new Map<string, { passing: number; all: number; worst: Status; reason: string; on: string }>();
  for (const e of instances) {
    for (const c of checksOf(e)) {
      const row = checks.get(c.name) ?? { passing: 0, all: 0, worst: Status.Serving, reason: "", on: "" };
      row.all++;
      if (c.status === Status.Serving) row.passing++;
      if (look[c.status].rank > look[row.worst].rank) Object.assign(row, { worst: c.status, reason: c.reason || c.cause, on: e.name });
      checks.set(c.name, row);
    }
  }
  return (
    <section>
      <h2>Checks</h2>
      {checks.size === 0 ? <p class="hint">No instance reports checks.</p> : (
        <div class="tablebox">
          <table>
            <caption>Checks by name</caption>
            <thead><tr><th scope="col">worst</th><th scope="col">check</th><th scope="col">passing</th><th scope="col">why</th></tr></thead>
            <tbody>
              {[...checks].sort(([a, x], [b, y]) => look[y.worst].rank - look[x.worst].rank || (a < b ? -1 : 1)).map(([name, c]) => (
                <tr key={name}>
                  <td class="c-status"><Glyph status={c.worst} /> {look[c.worst].word}</td><th scope="row"><Outside text={name} /></th>
                  <td>{c.passing}/{c.all}</td><td class="c-why">{c.on !== "" && <><Name name={c.on} />: <Outside text={c.reason} /></>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
};
