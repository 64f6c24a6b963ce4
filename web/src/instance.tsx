// The page of one instance.
import type { JSX } from "preact";
import { recentStart, soon, Timeline, useRecords } from "./bars";
import { CheckTable } from "./checks";
import { nameOf, type Entry } from "./entry";
import { Chain, NextList, useExplanation } from "./explanation";
import { Figures } from "./figures";
import { Name, Outside } from "./parts";
import { RecordTable } from "./records";
import { useRowKeys } from "./rowkeys";
import { explainEvery, Head, NotThere, Said } from "./service";
import { hrefOf, state } from "./state";
import { VerdictStrip, Witnesses } from "./verdict";
import { whyOf } from "./words";

const day = 86_400_000;

export const Instance = (): JSX.Element => {
  void state.pulse.value;
  const { view, at } = state.route.value;
  const name = view.page === "instance" ? nameOf(view.service, view.instance) : "";
  const entry = state.shown.value.entries.get(name);
  const { answer, error } = useExplanation(name, explainEvery);
  const to = soon(state.clock.value);
  const recorded = useRecords(name, to - day, 0, state.mesh.entries.get(name)?.since);
  const service = view.page === "instance" ? view.service : "";
  useRowKeys([], state.shown.value.entries.get(service)?.root || service);
  return (
    <article class="page instance-page">
      {entry === undefined ? <NotThere name={name} /> : (
        <>
          <Head entry={entry} kind="instance" />
          {at === 0 && error && <p role="status"><strong>No explanation:</strong> <Outside text={error.message} /></p>}
          {at === 0 && answer && <VerdictStrip entry={entry} layers={answer.layers ?? []} />}
          {at === 0 ? <Said texts={answer?.sentences ?? []} /> : <p><Outside text={whyOf(entry)} /></p>}
          {at === 0 && answer && <Chain links={(answer.chain?.length ?? 0) > 1 ? answer.chain! : []} />}
          {at === 0 && answer && <NextList next={answer.next ?? []} />}
          {at === 0 && answer && <Witnesses answer={answer} />}
          {at === 0 && <section><h2>Checks</h2><CheckTable entry={entry} /></section>}
          {at === 0 && <section><h2>Response times</h2><Figures name={name} /></section>}
          <Facts entry={entry} />
        </>
      )}
      <section>
        <h2>History</h2>
        <Timeline names={[name]} recorded={recorded} from={recentStart(to, recorded.oldest)} to={to} />
        <RecordTable caption="The last 24 hours" records={recorded.records} single empty={recorded.loading ? "The history is being read." : "Nothing was recorded in the last 24 hours."} />
      </section>
    </article>
  );
};

const Facts = ({ entry: e }: { entry: Entry }): JSX.Element => {
  const labels = Object.entries(e.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <section>
      <h2>Registration</h2>
      <dl class="facts">
        <dt>service</dt><dd><Name name={e.service} /></dd>
        {e.root !== "" && <><dt>root</dt><dd><a href={hrefOf({ page: "root", service: e.root })}><Outside text={e.root} /></a></dd></>}
        {e.address !== "" && <><dt>address</dt><dd><Outside text={e.address} /></dd></>}
        {e.zone !== "" && <><dt>zone</dt><dd><Outside text={e.zone} /></dd></>}
        {e.version !== "" && <><dt>version</dt><dd><Outside text={e.version} /></dd></>}
        {labels.map(([k, v]) => <><dt><Outside text={k} /></dt><dd><Outside text={v} /></dd></>)}
      </dl>
    </section>
  );
};
