// The page of overrides: what is forced now, and what was.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { clearLine } from "./command";
import { Line } from "./commandline";
import { Status, statusOf, timeOf } from "./entry";
import { Countdown } from "./explanation";
import type { ForcedScopeJson, ListOverridesResponseJson } from "./gen/meshhealth/v1/admin_pb";
import { Journal } from "./journal";
import { Age, Moment, Outside, StatusWord } from "./parts";
import { callErrorOf } from "./protocol";
import { RecordTable } from "./records";
import { state } from "./state";
import type { Transition } from "./transition";
import { plural } from "./words";

/** The most records in which the page looks for actions, and the most actions that it shows. */
const mostRecords = 10_000;
const mostActions = 100;

interface Read {
  readonly overrides: readonly ForcedScopeJson[];
  readonly actions: readonly Transition[];
  /** The history has older records that were not read. */
  readonly more: boolean;
  /** The actions are still being read. */
  readonly reading: boolean;
}

export const Maintenance = (): JSX.Element => {
  void state.pulse.value;
  const found = useSignal<Read | undefined>(undefined);
  const problem = useSignal("");
  const forced = useForced();
  const connected = state.connection.value.state === "live" || state.connection.value.state === "old-build";
  useEffect(() => {
    if (!connected) return;
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      const list = await state.call<object, ListOverridesResponseJson>("AdminService/ListOverrides", {}, stop.signal);
      found.value = { actions: [], more: false, ...found.peek(), overrides: list.overrides ?? [], reading: true };
      const journal = new Journal({ name: "", from: 0, to: 0 });
      const actions = (): Transition[] => journal.records.filter((t) => t.action !== "");
      await journal.read(mostRecords, () => actions().length >= mostActions, stop.signal);
      found.value = { overrides: list.overrides ?? [], actions: actions().slice(0, mostActions), more: !journal.done, reading: false };
      problem.value = "";
    };
    read().catch((e: unknown) => stop.signal.aborted || (problem.value = callErrorOf(e).message));
    return () => stop.abort();
  }, [forced, connected, state.coordinator.value?.overrides]);
  const f = found.value;
  return (
    <article class="page maintenance-page">
      <header class="pagehead">
        <h1>Maintenance</h1>
        <p class="lead">{f === undefined ? "" : f.overrides.length === 0 ? "Nothing is forced." : `${plural(f.overrides.length, "override")} ${f.overrides.length === 1 ? "forces" : "force"} ${plural(sum(f.overrides), "instance")}.`}</p>
      </header>
      {state.route.value.at > 0 && <p class="hint">This page is about the present.</p>}
      {problem.value !== "" && <p role="status"><strong>Not read:</strong> <Outside text={problem.value} /></p>}
      {f === undefined ? problem.value === "" && <div class="bones" aria-busy="true"><div /><div /></div> : (
        <>
          {f.overrides.length > 0 && <Forced overrides={f.overrides} />}
          <section>
            <h2>What was forced</h2>
            <RecordTable caption="Actions, the newest first" records={f.actions} empty={f.reading ? "The history is being read." : f.more ? "None of the latest records is about an override." : "The history has no action on an override."} />
            {f.more && <p class="hint">Only the newest {mostRecords} records were read.</p>}
          </section>
        </>
      )}
    </article>
  );
};

/** A text that differs when an override of an instance has changed. */
const useForced = (): string =>
  useMemo(() => {
    const scopes = new Set<string>();
    for (const e of state.mesh.entries.values()) if (e.override !== undefined) scopes.add(`${e.override.scope} ${e.override.setAt}`);
    return [...scopes].sort().join("\n");
  }, [state.pulse.value]);

const sum = (list: readonly ForcedScopeJson[]): number => list.reduce((n, o) => n + (o.instances ?? 0), 0);

const Forced = ({ overrides }: { overrides: readonly ForcedScopeJson[] }): JSX.Element => (
  <div class="tablebox">
    <table class="overrides">
      <caption>Forced now</caption>
      <thead>
        <tr><th scope="col">status</th><th scope="col">scope</th><th scope="col">forces</th><th scope="col">by</th><th scope="col">for</th><th scope="col">ends</th><th scope="col">why, and how to end it</th></tr>
      </thead>
      <tbody>
        {overrides.map(({ override: o, instances }) => {
          const status = statusOf(o?.status);
          const scope = o?.scope ?? "";
          return (
            <tr key={scope}>
              <td class="c-status"><StatusWord entry={{ status, unconfirmed: false }} /></td>
              <th scope="row" class="c-name"><Outside text={scope} /></th>
              <td>{plural(instances ?? 0, "instance")}</td><td><Outside text={o?.author ?? ""} /></td><td><Age since={timeOf(o?.setAt)} present /></td>
              <td>{o?.expiresAt ? <><Moment at={timeOf(o.expiresAt)} /> <Countdown to={timeOf(o.expiresAt)} /></> : "when it is cleared"}</td>
              <td class="c-why"><Outside text={o?.reason ?? ""} /><br /><Line line={clearLine(scope, status === Status.Maintenance)} /></td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);
