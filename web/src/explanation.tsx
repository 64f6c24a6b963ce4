// The answer of the coordinator to the question why a name has its status.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Asker } from "./asker";
import { causeOf, statusOf, timeOf } from "./entry";
import type { ChainLinkJson, EvidenceJson, ExplainRequestJson, ExplainResponseJson, NextChangeJson } from "./gen/meshhealth/v1/admin_pb";
import { Age, Glyph, Key, Moment, Name, Outside, StatusWord } from "./parts";
import { callErrorOf, type CallError } from "./protocol";
import { state } from "./state";
import { age, look } from "./words";

/** An explanation that is read again whenever the entry changes. */
export interface Explained {
  readonly answer: ExplainResponseJson | undefined;
  readonly error: CallError | undefined;
}

/** Reads the explanation of a name, and reads it again when its entry has changed, or every `every` ms if that is not 0. */
export const useExplanation = (name: string, every = 0): Explained => {
  const explained = useSignal<Explained & { readonly name: string }>({ name, answer: undefined, error: undefined });
  const asker = useRef<Asker>(undefined);
  void state.pulse.value;
  const revision = state.mesh.entries.get(name)?.revision ?? 0;
  const connected = state.connection.value.state;
  useEffect(() => {
    const a = new Asker((signal) =>
      state.call<ExplainRequestJson, ExplainResponseJson>("AdminService/Explain", { name }, signal).then(
        (answer) => void (explained.value = { name, answer, error: undefined }),
        (e: unknown) => {
          if (signal.aborted) return;
          // While the stream is lost, the banner says that what follows is the last that was received.
          const last = state.connection.peek().state === "lost" && explained.peek().name === name ? explained.peek().answer : undefined;
          explained.value = { name, answer: last, error: last ? undefined : callErrorOf(e) };
        },
      ));
    asker.current = a;
    return () => a.stop();
  }, [name]);
  useEffect(() => asker.current!.want(), [name, revision, connected, every === 0 ? 0 : Math.floor(state.clock.value / every)]);
  return explained.value.name === name ? explained.value : { answer: undefined, error: undefined };
};

/** A panel beside a list that explains the selected name. */
export const ExplanationPanel = ({ name, close }: { name: string; close: () => void }): JSX.Element => {
  const { answer, error } = useExplanation(name);
  const entry = state.shown.value.entries.get(name);
  const panel = useRef<HTMLElement>(null);
  return (
    <aside ref={panel} class="panel" aria-labelledby="why-title">
      <header>
        <h2 id="why-title">Why <Name name={name} /></h2>
        <button type="button" class="plain" onClick={close}>close <Key>Esc</Key></button>
      </header>
      {entry && <p class="lead"><StatusWord entry={entry} /> for <Age since={entry.since} /></p>}
      {state.route.value.at > 0 && <p class="hint">The explanation below is about the present.</p>}
      {error ? <p role="status"><strong>No explanation:</strong> <Outside text={error.message} /></p> : <ExplanationBody answer={answer} />}
    </aside>
  );
};

/** The parts of an explanation, one below the other. */
export const ExplanationBody = ({ answer }: { answer: ExplainResponseJson | undefined }): JSX.Element => {
  if (!answer) return <div class="bones" aria-busy="true"><div /><div /></div>;
  return (
    <>
      <Sentences texts={answer.sentences ?? []} />
      <Chain links={answer.chain ?? []} />
      <EvidenceList evidence={answer.evidence ?? []} />
      <NextList next={answer.next ?? []} />
    </>
  );
};

export const Sentences = ({ texts }: { texts: readonly string[] }): JSX.Element => (
  <div class="sentences">{texts.map((t, i) => <p key={i}><Outside text={t} /></p>)}</div>
);

const edgeWords: Record<string, string> = { EDGE_HARD: "needs it", EDGE_SOFT: "uses it, works without it", EDGE_MEMBER: "part of it" };

/** The way from the root of a failure to the name. */
export const Chain = ({ links }: { links: readonly ChainLinkJson[] }): JSX.Element | null =>
  links.length === 0 ? null : (
    <section>
      <h3>From the root to here</h3>
      <ol class="chain">
        {links.map((l) => {
          const status = statusOf(l.status);
          return (
            <li key={l.name}>
              {l.edge && <span class="hint">{edgeWords[l.edge] ?? ""} </span>}
              <Glyph status={status} /> <Name name={l.name ?? ""} /> {look[status].word} <span class="hint">since <Moment at={timeOf(l.firstFailure) || timeOf(l.since)} /></span>{" "}
              <Outside class="why" text={l.reason || causeOf(l.cause)} />
            </li>
          );
        })}
      </ol>
    </section>
  );

/** What the status is based on, the newest first. */
export const EvidenceList = ({ evidence }: { evidence: readonly EvidenceJson[] }): JSX.Element | null =>
  evidence.length === 0 ? null : (
    <section>
      <h3>Evidence</h3>
      <ul class="evidence">
        {evidence.map((e, i) => (
          <li key={i}>
            <Glyph status={statusOf(e.status)} /> <strong><Outside text={e.source ?? ""} /></strong> <Outside text={e.text || causeOf(e.cause)} />{" "}
            <span class="hint">{(e.count ?? 0) > 1 && `${e.count} in a row, `}<Age since={timeOf(e.at)} present /> ago</span>
          </li>
        ))}
      </ul>
    </section>
  );

/** What may change the status next, the earliest first. */
export const NextList = ({ next }: { next: readonly NextChangeJson[] }): JSX.Element | null =>
  next.length === 0 ? null : (
    <section>
      <h3>Next</h3>
      <ul class="next">
        {next.map((n, i) => (
          <li key={i}>
            {n.removed ? <strong>removed</strong> : <><Glyph status={statusOf(n.to)} /> {look[statusOf(n.to)].word}</>}
            {n.at && <> at <Moment at={timeOf(n.at)} /> <Countdown to={timeOf(n.at)} /></>}
            {n.if && <> if <Outside text={n.if} /></>}
            {n.unless && <> unless <Outside text={n.unless} /></>}
          </li>
        ))}
      </ul>
    </section>
  );

/** The time until a moment. A past moment, and a mesh of the past, have no countdown. */
export const Countdown = ({ to }: { to: number }): JSX.Element | null => {
  const left = to - state.clock.value;
  return left <= 0 || state.route.value.at > 0 ? null : <span class="hint">(in {age(left)})</span>;
};

