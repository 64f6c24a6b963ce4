// The page of one service.
import type { JSX } from "preact";
import { recentStart, soon, Timeline, useRecords } from "./bars";
import { neighboursOf } from "./blast";
import { CheckSummary } from "./checks";
import { totalOf, upOf } from "./counts";
import type { Entry } from "./entry";
import { Chain, NextList, Sentences, useExplanation } from "./explanation";
import { Graph } from "./graph";
import { Age, Name, Outside, StatusWord } from "./parts";
import { worseFirst } from "./rank";
import { useRowKeys } from "./rowkeys";
import { parseSelector } from "./selector";
import { hrefOf, hrefWith, state } from "./state";
import { NoMatch } from "./states";
import { EntryTable } from "./table";
import { age, plural, whyOf } from "./words";

const hour = 3_600_000;
/** A renewed lease moves what comes next, without a new revision. */
export const explainEvery = 3000;
/** So many instances have a bar of their own. */
const mostBars = 8;

export const Service = (): JSX.Element => {
  void state.pulse.value;
  const { view, q, selected, at } = state.route.value;
  const name = view.page === "service" ? view.service : "";
  const mesh = state.shown.value;
  const entry = mesh.entries.get(name);
  const explained = useExplanation(name, explainEvery);
  const to = soon(state.clock.value);
  const recorded = useRecords(name, to - hour, 0, state.mesh.entries.get(name)?.revision);
  const { matches } = parseSelector(q);
  const all = [...(mesh.instancesOf.get(name) ?? [])].map((n) => mesh.entries.get(n)!);
  const instances = all.filter(matches).sort(worseFirst);
  useRowKeys(instances.map((e) => e.name), entry?.root || name);
  if (entry === undefined) return <NotThere name={name} />;
  const start = recentStart(to, recorded.oldest);
  const neighbours = neighboursOf(mesh, name);
  return (
    <article class="page service-page">
      <Head entry={entry} kind="service" />
      {at === 0 && explained.error && <p role="status"><strong>No explanation:</strong> <Outside text={explained.error.message} /></p>}
      {at === 0 ? <Said texts={explained.answer?.sentences ?? []} /> : <p><Outside text={whyOf(entry)} /></p>}
      <dl class="facts">
        <dt>instances</dt><dd>{upOf(entry)} routable{counted(entry)}</dd>
        {(explained.answer?.evidence ?? []).filter((e) => at === 0 && e.source === "rule").map((e, i) => <><dt>{i === 0 ? "rule" : ""}</dt><dd><Outside text={e.text ?? ""} /></dd></>)}
        {entry.root !== "" && <><dt>root</dt><dd><a href={hrefOf({ page: "root", service: entry.root })}><Outside text={entry.root} /></a></dd></>}
        {entry.affected > 0 && <><dt>affects</dt><dd><a href={hrefOf({ page: "root", service: name })}>{plural(entry.affected, "service")}</a></dd></>}
      </dl>
      {at === 0 && <Chain links={(explained.answer?.chain?.length ?? 0) > 1 ? explained.answer!.chain! : []} />}
      <section>
        <h2>Instances</h2>
        {instances.length === 0 && all.length > 0 ? <NoMatch hidden={all.length} /> : <EntryTable caption={`${plural(instances.length, "instance")}, the worst first`} names={instances.map((e) => e.name)} selected={selected} />}
      </section>
      <section>
        <h2>The last {age(to - start)}</h2>
        <Timeline names={[name, ...instances.slice(0, mostBars).map((e) => e.name)]} recorded={recorded} from={start} to={to} />
      </section>
      <section>
        <h2>Neighbours</h2>
        {neighbours.names.length === 1 ? <p class="hint">It declares no dependencies, and no service depends on it.</p> : (
          <>
            <p class="hint">Left is what it needs, right is what needs it. A dashed line is a dependency without which a service still works.</p>
            <Graph label={`Neighbours of ${name}`} names={neighbours.names} edges={neighbours.edges} focus={name} />
          </>
        )}
      </section>
      {at === 0 && <CheckSummary instances={all} />}
      {at === 0 && <NextList next={explained.answer?.next ?? []} />}
    </article>
  );
};

const counted = (e: Entry): string => {
  const n = e.counts?.counted ?? 0;
  return n === 0 || n === totalOf(e.counts) ? "" : `; ${n} of them count for the status`;
};

/** The title of a page about one entry, with its status. */
export const Head = ({ entry, kind }: { entry: Entry; kind: string }): JSX.Element => (
  <header class="pagehead">
    <p class="kind">{kind}</p>
    <h1><Outside text={entry.name} /></h1>
    <p class="lead"><StatusWord entry={entry} /> {entry.since > 0 ? <>for <Age since={entry.since} /></> : <span class="hint">since when is not known</span>}</p>
  </header>
);

/** The first sentences of an explanation, and the others on demand. */
export const Said = ({ texts }: { texts: readonly string[] }): JSX.Element => (
  <div class="said">
    <Sentences texts={texts.slice(0, 2)} />
    {texts.length > 2 && <details><summary>{plural(texts.length - 2, "more sentence")}</summary><Sentences texts={texts.slice(2)} /></details>}
  </div>
);

/** The address names an entry that does not exist at the moment that is shown. */
export const NotThere = ({ name }: { name: string }): JSX.Element => {
  const past = state.route.value.at > 0;
  const near = [...state.shown.value.entries.values()].filter((e) => (e.kind === "service" || e.kind === "instance") && isNear(e.name, name)).slice(0, 3);
  return (
    <section class="empty">
      <h1><Outside text={name} /></h1>
      <p>{past ? "It was not registered at this moment." : "It is not registered. If it was removed, the history still has it."}</p>
      {near.length > 0 && <p>Similar names: {near.map((e, i) => <>{i > 0 && ", "}<Name name={e.name} /></>)}</p>}
      <p><a href={hrefWith({ view: { page: "history" }, selected: name, at: 0, q: "" })}>its history</a></p>
    </section>
  );
};

/** One name begins like the other, or contains it. */
const isNear = (a: string, b: string): boolean => a.includes(b) || b.includes(a) || (a.slice(0, 3) === b.slice(0, 3) && Math.abs(a.length - b.length) < 4);
