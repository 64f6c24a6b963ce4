// A list of records of the history.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Status } from "./entry";
import { Glyph, Name, Outside } from "./parts";
import { state } from "./state";
import { isChange, type Transition } from "./transition";
import { age, dateTime, look, number, plural } from "./words";

/** So many more rows come with one press. */
const portion = 200;

interface RecordTableProps {
  readonly caption: string;
  readonly records: readonly Transition[];
  /** What an empty table says. */
  readonly empty: string;
  /** All records are about one name, which needs no column. */
  readonly single?: boolean;
}

/** A table of records in the order given. A long one shows its first rows, and more on demand. */
export const RecordTable = ({ caption, records, empty, single }: RecordTableProps): JSX.Element => {
  const shown = useSignal(portion);
  const { at } = state.route.value;
  if (records.length === 0) return <p class="hint">{empty}</p>;
  return (
    <div class="tablebox">
      <table class="records" aria-rowcount={records.length + 1}>
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col">time</th><th scope="col">ago</th><th scope="col">status</th><th scope="col">before</th>
            {!single && <th scope="col">name</th>}<th scope="col">cause</th><th scope="col">why</th>
          </tr>
        </thead>
        <tbody>
          {records.slice(0, shown.value).map((t, i) => <RecordRow key={`${t.at} ${t.name} ${i - records.length}`} record={t} single={single ?? false} at={at} />)}
        </tbody>
      </table>
      {records.length > shown.value && (
        <p><button type="button" onClick={() => (shown.value += portion)}>show {number(Math.min(portion, records.length - shown.value))} more</button> of {number(records.length)}</p>
      )}
    </div>
  );
};

const RecordRow = ({ record: t, single, at }: { record: Transition; single: boolean; at: number }): JSX.Element => {
  const when = (
    <>
      <td><button type="button" class="plain when" title="show the mesh as of this moment" onClick={() => state.go({ at: t.at })}>{stamp(t.at)}</button></td>
      <td class="age">{age(Math.max(0, state.present.value - t.at))}</td>
    </>
  );
  if (t.lost > 0) return <tr class="gap">{when}<td colSpan={single ? 4 : 5}><strong>gap</strong>: {plural(t.lost, "record")} lost before this moment</td></tr>;
  return (
    <tr class={at === t.at ? "selected" : undefined} aria-current={at === t.at ? "time" : undefined}>
      {when}
      <td class="c-status">{!isChange(t) ? t.action === "set" ? <Words status={t.to} before="forced: " /> : "no longer forced" : t.removed ? "removed" : <Words status={t.to} />}</td>
      <td>{isChange(t) && <Words status={t.from} />}</td>
      {!single && <th scope="row" class="c-name">{t.name !== "" ? <Name name={t.name} /> : <Outside text={t.scope} />}</th>}
      <td>{t.cause}</td>
      <td class="c-why">{t.by !== "" && <>by <Outside text={t.by} />{t.reason !== "" && ": "}</>}<Outside text={t.reason} /></td>
    </tr>
  );
};

const Words = ({ status, before }: { status: Status; before?: string }): JSX.Element => <span class="status">{before}<Glyph status={status} /> {look[status].word}</span>;

/** The date is left out today. */
const stamp = (ms: number): string => {
  const full = dateTime(ms);
  const today = dateTime(state.present.value).slice(0, 10);
  return `${full.startsWith(today) ? full.slice(11) : full}.${String(ms % 1000).padStart(3, "0")}`;
};
