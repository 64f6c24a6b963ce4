// What a person must know about a view of an earlier moment.
import type { JSX } from "preact";
import { Key, Name, Outside } from "./parts";
import { state } from "./state";
import { step, travel } from "./travel";
import { age, dateTime, look, number, plural } from "./words";

/** The moment that is shown, how certain it is, and the way back. */
export const TravelBanner = (): JSX.Element | null => {
  const { at } = state.route.value;
  const t = travel.value;
  if (at === 0) return null;
  return (
    <div class="banner past" role="status">
      <strong>As of {dateTime(at)}.</strong>{" "}
      <button type="button" onClick={() => void step(-1)}>step back</button> <Key>[</Key>{" "}
      <button type="button" onClick={() => void step(1)}>step on</button> <Key>]</Key>{" "}
      <button type="button" onClick={() => state.go({ at: 0 })}>show live</button> <Key>l</Key>{" "}
      {t !== undefined && !t.loading && t.known && (
        <>
          {t.changes.slice(0, 3).map((c) => <span key={c.name} class="then"><Name name={c.name} /> {look[c.from].word} → {c.removed ? "removed" : look[c.to].word}. </span>)}
          {t.changes.length > 3 && <>{plural(t.changes.length - 3, "more change")} at this moment. </>}
          {t.gaps.map((g) => <span key={g.at} class="tear">Gap: {plural(g.lost, "record")} lost before {dateTime(g.at)}. </span>)}
          {t.unsure > 0 && <>{number(t.unsure)} {t.unsure === 1 ? "status is" : "statuses are"} not certain and marked as unconfirmed. </>}
          <span class="hint">Statuses and causes are those of then. Labels, zones and addresses are those of now. Checks, roots and overrides of then are not known.</span>
        </>
      )}
    </div>
  );
};

/** Takes the place of a view whose moment is being read, or is not known. */
export const PastMissing = (): JSX.Element => {
  const t = travel.value;
  if (t === undefined || t.loading) return <p class="loading" aria-busy="true">Reading the history back to {dateTime(state.route.value.at)}: {plural(t?.read ?? 0, "record")}.</p>;
  return (
    <section class="empty">
      <h1>Nothing is known about this moment</h1>
      {t.error !== "" ? <p><Outside text={t.error} /></p>
        : t.oldest === Infinity ? <p>The history has no records.</p>
        : <p>The oldest record is from {dateTime(t.oldest)}, {age(t.oldest - t.at)} later.</p>}
      <p><button type="button" onClick={() => state.go({ at: 0 })}>show live</button></p>
    </section>
  );
};
