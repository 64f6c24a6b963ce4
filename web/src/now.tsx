// The page of the mesh as it is now: one sentence, the roots, the others in trouble, and all entries.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { commonOf, type Shared } from "./common";
import { countOf, sizeOf, upOf } from "./counts";
import { type Entry, meshName, Status, statuses } from "./entry";
import { hasField } from "./field";
import { FieldView } from "./fieldview";
import { useKeys } from "./keys";
import { later } from "./later";
import type { Mesh } from "./mesh";
import { Age, Glyph, Name, Outside, StatusWord, viewOfName } from "./parts";
import { isWell, othersOf, type Root, rootsOf, whyIn, worstOf } from "./rank";
import { parseSelector, quoted } from "./selector";
import { useSlowly, useTurn } from "./slowly";
import { hrefWith, pulseEvery, state } from "./state";
import { NoMatch, NoServices } from "./states";
import { EntryTable } from "./table";
import { clockTime, look, number, plural } from "./words";
import type { Work } from "./work";

const ExplanationPanel = later((m) => m.ExplanationPanel);

/** With more instances than this, the page has the field. */
const fewInstances = 30;
/** With more services than this, the page lists those in trouble before the table of all. */
const fewServices = 30;
/** A list of trouble has at most this many rows. The table below has all. */
const mostOthers = 10;
/** How often rows change places, and how often the page looks for what is common, in ms. */
const slowly = 1000;

export const Now = (): JSX.Element => {
  const { q, selected } = state.route.value;
  const mesh = state.shown.value;
  const selector = useMemo(() => parseSelector(q), [q]);
  const { roots, size } = useSlowly(pulseEvery, [mesh], () => false, function* () {
    const roots = rootsOf(mesh);
    yield;
    return { roots, size: sizeOf(mesh) };
  });
  const others = useSlowly(slowly, [mesh], () => false, function* () {
    const roots = rootsOf(mesh);
    yield;
    return othersOf(mesh, roots);
  });
  const large = size.instances > fewInstances;
  const rows = useRows(mesh, q, selector.matches, large);
  const problems = [...roots.map((r) => r.entry), ...others.slice(0, mostOthers)].map((e) => e.name);
  const explained = useListKeys(problems, rows);
  const table = useMemo(() => <EntryTable caption={q === "" ? `All ${plural(size.services, "service")}, the worst first` : `${plural(rows.length, "match", "matches")}, the worst first`}
    names={rows} selected={selected} />, [q, size.services, rows, selected]);
  const worst = useMemo(() => <Others others={others} selected={selected} />, [others, selected]);
  const common = useMemo(() => large && <Common mesh={mesh} matches={selector.matches} />, [large, mesh, selector]);
  const field = useMemo(() => large && hasField && <FieldView matches={selector.matches} filtered={q !== ""} />, [large, selector]);
  if (size.services === 0) return <NoServices />;
  return (
    <div class={explained === "" ? "now" : "now split"} onClick={explainRow}>
      <div>
        <Sentence size={size} roots={roots} />
        <Coordinator />
        <Zones mesh={mesh} />
        {roots.length > 0 && <Roots roots={roots} troubled={troubledServices(mesh)} selected={selected} />}
        {size.services > fewServices && others.length > 0 && worst}
        {common}
        {field}
        {rows.length === 0 ? <NoMatch hidden={mesh.entries.size} /> : table}
      </div>
      {explained !== "" && <ExplanationPanel key={explained} name={explained} close={() => state.go({ selected: "" }, true)} />}
    </div>
  );
};

/** The status of the mesh with the numbers of everything in it. It follows the entries. */
const Sentence = ({ size, roots }: { size: { services: number; instances: number; unconfirmed: number }; roots: readonly Root[] }): JSX.Element => {
  useTurn();
  void state.meshStatus.value;
  const mesh = state.shown.value.entries.get(meshName);
  if (!mesh) return <h1>The services that you may read</h1>;
  return (
    <header class="sentence">
      <h1><span class="visually-hidden">The mesh is </span><StatusWord entry={mesh} /> {mesh.since > 0 && <span class="for">for <Age since={mesh.since} /></span>}</h1>
      {roots[0] && <Because root={roots[0]} others={roots.length - 1} />}
      <p class="size">{plural(size.services, "service")} · {plural(size.instances, "instance")}</p>
      <ul class="counts" aria-label="Services by status">
        {statuses.filter((s) => countOf(mesh.counts, s) > 0).map((s) => (
          <li key={s}>
            <a href={hrefOfFilter(`status=${look[s].word}`)}><Glyph status={s} /> <strong>{number(countOf(mesh.counts, s))}</strong> {look[s].word}</a>
          </li>
        ))}
        {size.unconfirmed > 0 && <li><a href={hrefOfFilter("unconfirmed")}><span class="hatch" aria-hidden="true" /> <strong>{number(size.unconfirmed)}</strong> {size.unconfirmed === 1 ? "instance" : "instances"} unconfirmed</a></li>}
      </ul>
    </header>
  );
};

/** Names the root with the most affected services, and why it fails. */
const Because = ({ root: { entry }, others }: { root: Root; others: number }): JSX.Element => {
  const mesh = state.shown.value;
  const now = mesh.entries.get(entry.name) ?? entry;
  return (
    <p class="because">
      because of <strong><Name name={now.name} /></strong>{others > 0 && ` and ${plural(others, "other root")}`}: <Outside text={whyIn(mesh, now)} />
    </p>
  );
};

const hrefOfFilter = (q: string): string => hrefWith({ view: { page: "now" }, q, selected: "" });

/** Whether the coordinator itself can be trusted. Nothing is shown if the caller may not read it. */
const Coordinator = (): JSX.Element | null => {
  useTurn(pulseEvery);
  const c = state.coordinator.value;
  const self = state.shown.value.entries.get("");
  if (state.route.value.at > 0) return null;
  // The line has its place before the answer arrives, so that nothing below it moves.
  if (!c) return <p class="coordinator" />;
  const guards = c.guards?.length ?? 0;
  const coverage = typeof c.pollCoverage === "number" ? c.pollCoverage : 0;
  return (
    <p class="coordinator">
      <a href="coordinator">coordinator</a> {self && <StatusWord entry={self} />} · coverage {Math.floor(coverage * 100)} % · doubt {c.score ?? 0}/7 · guard {guards === 0 ? "off" : <strong>on</strong>}
      {(c.amnestyUntil ?? "") !== "" && <> · <strong>amnesty</strong></>}
      {(c.storeError ?? "") !== "" && <> · <strong>store: <Outside text={c.storeError!} /></strong></>}
    </p>
  );
};

/** The zones, if there are several. */
const Zones = ({ mesh }: { mesh: Mesh }): JSX.Element | null => {
  useTurn(pulseEvery);
  const zones = [...mesh.zones.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (zones.length < 2 || zones.length > 12) return null;
  return (
    <ul class="zones" aria-label="Zones, with the services that are routable in them">
      {zones.map((z) => (
        <li key={z.name}><a href={hrefOfFilter(`zone=${quoted(z.instance)}`)}><Glyph status={z.status} unconfirmed={z.unconfirmed} /><span class="visually-hidden">{look[z.status].word}</span> <Outside text={z.instance} /> {upOf(z)}</a></li>
      ))}
    </ul>
  );
};

const troubledServices = (m: Mesh): number => {
  const c = m.entries.get(meshName)?.counts;
  return countOf(c, Status.Degraded) + countOf(c, Status.NotServing) + countOf(c, Status.Unknown);
};

const Roots = ({ roots, troubled, selected }: { roots: readonly Root[]; troubled: number; selected: string }): JSX.Element => {
  const explained = new Set(roots.flatMap((r) => [r.entry.name, ...r.services.map((s) => s.name)])).size;
  const byName = new Map(roots.map((r) => [r.entry.name, r]));
  return (
    <EntryTable caption={`${plural(roots.length, "root")} ${roots.length === 1 ? "explains" : "explain"} ${number(explained)} of ${plural(Math.max(troubled, explained), "service")} in trouble`}
      names={roots.map((r) => r.entry.name)} selected={selected}
      extra={{ title: "affects", cell: (name) => affects(byName.get(name)!) }} />
  );
};

const affects = (r: Root): string => `→ ${plural(r.services.length, "service")}, ${plural(r.instances, "instance")}`;

const Others = ({ others, selected }: { others: readonly Entry[]; selected: string }): JSX.Element => (
  <EntryTable caption={others.length > mostOthers ? `The worst ${mostOthers} of ${number(others.length)} others in trouble` : `${plural(others.length, "other")} in trouble`}
    names={others.slice(0, mostOthers).map((e) => e.name)} selected={selected} />
);

/** What the instances in trouble share and the others do not. */
const Common = ({ mesh, matches }: { mesh: Mesh; matches: (e: Entry) => boolean }): JSX.Element | null => {
  const shared = useSlowly(slowly, [mesh, matches], () => false, () => commonOf(matching(mesh.instances.values(), matches)));
  if (shared.length === 0) return null;
  return (
    <section class="common" aria-labelledby="common-title">
      <h2 id="common-title">What is common</h2>
      <ul>{shared.map((s) => <li key={s.key}><SharedSentence shared={s} /></li>)}</ul>
    </section>
  );
};

function* matching(entries: Iterable<Entry>, matches: (e: Entry) => boolean): Generator<Entry> {
  for (const e of entries) if (matches(e)) yield e;
}

const SharedSentence = ({ shared: s }: { shared: Shared }): JSX.Element => {
  const of = `${number(s.unwell)} of ${number(s.allUnwell)} instances in trouble`;
  if (s.key === "second") return <>{of} changed at {clockTime(Number(s.value))}.</>;
  const filter = `${s.key}=${quoted(s.value)}`;
  return (
    <>
      {of} have <a href={hrefOfFilter(filter)}><Outside text={filter} /></a>{s.key === "cause" ? "." : <>; {number(s.well)} of {plural(s.allWell, "other")} have it.</>}
    </>
  );
};

/**
 * Returns the rows of the table. With a filter they are all entries that match, and otherwise the
 * services. In a small mesh, each service is followed by its instances that are not well. Rows keep
 * their places while the pointer is over the table.
 */
const useRows = (mesh: Mesh, q: string, matches: (e: Entry) => boolean, large: boolean): readonly string[] => {
  const pointedAt = (): boolean => document.querySelector(".tablebox:hover") !== null;
  return useSlowly(slowly, [mesh, q, large], pointedAt, function* () {
    const rows = q !== "" ? yield* worstOf(mesh, (e) => e.kind !== "mesh" && e.kind !== "coordinator" && matches(e))
      : large ? yield* worstOf(mesh, (e) => e.kind === "service") : yield* servicesWithInstances(mesh);
    return rows.map((e) => e.name);
  });
};

function* servicesWithInstances(mesh: Mesh): Work<Entry[]> {
  const unwell = yield* worstOf(mesh, (e) => e.kind === "instance" && !isWell(e));
  const services = yield* worstOf(mesh, (e) => e.kind === "service");
  return services.flatMap((s) => [s, ...unwell.filter((e) => e.service === s.service)]);
}

/** The panel with the explanation is open. */
const explaining = signal(false);

/** The keys that move through the lists. Returns the name that the panel explains, or empty. */
const useListKeys = (problems: readonly string[], rows: readonly string[]): string => {
  const { selected } = state.route.value;
  const current = selected || (problems[0] ?? rows[0] ?? "");
  const step = (of: readonly string[], by: number): void => {
    const at = of.indexOf(selected);
    const next = of[at < 0 ? (by > 0 ? 0 : of.length - 1) : Math.min(of.length - 1, Math.max(0, at + by))];
    if (next !== undefined) state.go({ selected: next }, true);
  };
  const stepAll = (by: number): void => step([...new Set([...problems, ...rows])], by);
  const explain = (): void => {
    explaining.value = !explaining.value || selected === "";
    state.go({ selected: current }, true);
  };
  useKeys([
    { key: "ArrowDown", does: "next row", run: () => stepAll(1) },
    { key: "ArrowUp", does: "row before", run: () => stepAll(-1) },
    { key: "j", does: "next row", run: () => stepAll(1) },
    { key: "k", does: "row before", run: () => stepAll(-1) },
    { key: "n", does: "next in trouble", run: () => step(problems, 1) },
    { key: "p", does: "the one in trouble before", run: () => step(problems, -1) },
    { key: "e", does: "explain the row", run: explain },
    { key: "Enter", does: "open the row, or what the root affects", run: () => open(current) },
    { key: "r", does: "what the root of the row affects", run: () => openRoot(current) },
  ]);
  return explaining.value ? selected : "";
};

/** Opens the blast radius of a root, or the page of any other name. */
const open = (name: string): void => {
  const e = state.shown.peek().entries.get(name);
  if (e) state.go({ view: e.affected > 0 ? { page: "root", service: e.service } : viewOfName(name) });
};

const openRoot = (name: string): void => {
  const e = state.shown.peek().entries.get(name);
  const service = e && (e.root || state.shown.peek().entries.get(e.service)?.root || e.service);
  if (service) state.go({ view: { page: "root", service } });
};

/** A click on a row also opens the panel. */
const explainRow = (e: MouseEvent): void => {
  if (e.target instanceof Element && e.target.closest("tr[data-name]") && !e.target.closest("a, button")) explaining.value = true;
};
