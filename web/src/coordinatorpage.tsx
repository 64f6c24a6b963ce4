// The page of the coordinator itself: can this page be trusted?
import type { JSX } from "preact";
import { inMilliseconds } from "./checks";
import { durationOf } from "./duration";
import { Age, Outside, StatusWord } from "./parts";
import { type Connection, now, state } from "./state";
import { trustOf } from "./trust";
import { age, number } from "./words";

export const CoordinatorPage = (): JSX.Element => {
  void state.present.value;
  const c = state.coordinator.value;
  const connection = state.connection.value;
  const self = state.mesh.entries.get("");
  if (c === undefined) {
    return (
      <section class="page">
        <h1>Coordinator</h1>
        <p>{connection.state === "live" ? "Its state was not read yet, or you may not read it." : "Its state is not known, because the page is not connected."}</p>
      </section>
    );
  }
  const findings = trustOf(c, { state: receptionOf(connection.state), quiet: now() - connection.lastNews }, state.present.value);
  const doubts = findings.filter((f) => !f.ok).length;
  return (
    <article class="page coordinator-page">
      <header class="pagehead">
        <p class="kind">coordinator</p>
        <h1>Can I trust this page?</h1>
        <p class="lead">{doubts === 0 ? <strong>Yes.</strong> : <strong>With {doubts === 1 ? "one doubt" : `${doubts} doubts`}.</strong>} {self && <><StatusWord entry={self} /> for <Age since={self.since} present /></>}</p>
      </header>
      {state.route.value.at > 0 && <p class="hint">This page is about the present. The history does not contain the coordinator itself.</p>}
      <ul class="findings">
        {findings.map((f) => <li key={f.text} class={f.ok ? "fine" : "doubt"}><span aria-hidden="true">{f.ok ? "✓" : "!"}</span> <span class="visually-hidden">{f.ok ? "fine: " : "doubt: "}</span><Outside text={f.text} /></li>)}
      </ul>
      <section>
        <h2>Figures</h2>
        <dl class="facts">
          <dt>build</dt><dd><Outside text={c.build || "unknown"} />, up for {age(durationOf(c.uptime))}</dd>
          <dt>epoch</dt><dd>{c.epoch ?? "0"}</dd>
          <dt>revision</dt><dd>{number(Number(c.revision ?? 0))}; this page has {number(state.mesh.revision)}</dd>
          <dt>mesh</dt><dd>{number(c.services ?? 0)} services, {number(c.instances ?? 0)} instances, {number(c.overrides ?? 0)} overrides</dd>
          <dt>follows</dt><dd><Counts of={c.followers} /></dd>
          <dt>breakers</dt><dd><Counts of={c.breakers} /></dd>
          <dt>store</dt><dd>{number(c.storeQueue ?? 0)} records wait{durationOf(c.storeCommitAge) > 0 && `, commit takes ${inMilliseconds(durationOf(c.storeCommitAge))}`}</dd>
          <dt>streams</dt><dd>{number(c.watchers ?? 0)} watches, {number(c.xdsStreams ?? 0)} xDS</dd>
          {(c.xdsStreams ?? 0) > 0 && <><dt>xDS</dt><dd>{number(c.xdsBehind ?? 0)} resources behind, {number(Number(c.xdsRejected ?? 0))} responses rejected</dd></>}
        </dl>
      </section>
      {(c.unknownServices ?? []).length > 0 && <p>The configuration names services of which nothing is registered: <Outside text={c.unknownServices!.join(", ")} />.</p>}
      {(c.xdsRejections ?? []).length > 0 && (
        <section>
          <h2>Rejected by xDS clients</h2>
          <ul>{c.xdsRejections!.map((r, i) => <li key={i}><Outside text={r.node ?? ""} />: <Outside text={r.reason ?? ""} /> <span class="hint"><Outside text={(r.names ?? []).join(", ")} /></span></li>)}</ul>
        </section>
      )}
    </article>
  );
};

const receptionOf = (s: Connection["state"]): "live" | "reading" | "lost" => (s === "live" || s === "old-build" ? "live" : s === "reading" ? "reading" : "lost");

const Counts = ({ of }: { of: { readonly [mode: string]: number } | undefined }): JSX.Element => {
  const list = Object.entries(of ?? {}).filter(([, n]) => n > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return <Outside text={list.length === 0 ? "none" : list.map(([mode, n]) => `${number(n)} ${mode}`).join(", ")} />;
};
