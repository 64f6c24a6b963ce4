// The page of a root: which services fail because of it, and in which order they failed.
import type { JSX } from "preact";
import { blastOf, failedAt } from "./blast";
import { upOf } from "./counts";
import { type Entry, Status } from "./entry";
import { useExplanation } from "./explanation";
import { Graph } from "./graph";
import { Moment, Name, Outside, StatusWord } from "./parts";
import { explainEvery, Head, NotThere, Said } from "./service";
import { hrefOf, state } from "./state";
import { age, plural, whyOf } from "./words";

export const RootPage = (): JSX.Element => {
  void state.pulse.value;
  const { view, at } = state.route.value;
  const name = view.page === "root" ? view.service : "";
  const mesh = state.shown.value;
  const entry = mesh.entries.get(name);
  const { answer } = useExplanation(name, explainEvery);
  if (entry === undefined) return <NotThere name={name} />;
  const b = blastOf(mesh, name, at > 0);
  const others = b.names.length - 1;
  const first = failedAt(entry);
  const notes = new Map(b.affected.map((e) => [e.name, b.potential ? upOf(e) : deltaOf(e, first)]));
  return (
    <article class="page root-page">
      <Head entry={entry} kind={b.potential ? "service" : "root"} />
      {at === 0 ? <Said texts={answer?.sentences ?? []} /> : <p><Outside text={whyOf(entry)} /></p>}
      <p>
        {others === 0 ? (b.potential ? "No service needs it." : "No other service fails because of it.")
          : b.potential ? `It is well. ${plural(others, "service")} would be affected if it failed, because they need it.`
          : at > 0 ? `${plural(others, "service")} needed it and were in trouble too. The history does not contain roots.`
          : `${plural(others, "service")} with ${plural(instancesOf(b.affected, name), "instance")} in trouble because of it.`}{" "}
        {!b.potential && first < Infinity && <>The first failure was at <Moment at={first} />.</>}{" "}
        <a href={hrefOf({ page: "service", service: name })}>the page of the service</a>
      </p>
      {others > 0 && (
        <section>
          <h2>{b.potential ? "What would be affected" : "What it affects"}</h2>
          <p class="hint">The cause is left. A dashed line is a dependency without which a service still works, or a way that is not visible.</p>
          <Graph label={`Services that ${name} affects`} names={b.names} edges={b.edges} focus={name} note={(n) => notes.get(n) ?? ""} />
        </section>
      )}
      {others > 0 && <Order affected={b.affected} first={first} potential={b.potential} />}
    </article>
  );
};

const instancesOf = (affected: readonly Entry[], root: string): number =>
  affected.reduce((n, e) => n + (e.name === root ? 0 : (e.counts?.degraded ?? 0) + (e.counts?.notServing ?? 0) + (e.counts?.unknown ?? 0)), 0);

/** The time from the first failure, such as `+1.8 s`. */
const deltaOf = (e: Entry, first: number): string => {
  const at = failedAt(e);
  if (at === Infinity || first === Infinity) return "";
  const ms = at - first;
  const sign = ms < 0 ? "−" : "+";
  return Math.abs(ms) < 60_000 ? `${sign}${(Math.abs(ms) / 1000).toFixed(1)} s` : `${sign}${age(Math.abs(ms))}`;
};

const Order = ({ affected, first, potential }: { affected: readonly Entry[]; first: number; potential: boolean }): JSX.Element => (
  <section>
    <h2>{potential ? "The same as a list" : "Order of failure"}</h2>
    <div class="tablebox">
      <table class="order">
        <caption>{potential ? "Services that need it, directly or not" : "The first failure first"}</caption>
        <thead><tr>{!potential && <th scope="col">after</th>}<th scope="col">status</th><th scope="col">name</th><th scope="col">up</th><th scope="col">why</th></tr></thead>
        <tbody>
          {affected.map((e) => (
            <tr key={e.name}>
              {!potential && <td>{e.status === Status.Serving ? "" : deltaOf(e, first)}</td>}
              <td class="c-status"><StatusWord entry={e} /></td><th scope="row" class="c-name"><Name name={e.name} /></th><td>{upOf(e)}</td><td class="c-why"><Outside text={whyOf(e)} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);
