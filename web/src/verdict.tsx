// How the layers of the coordinator compute the status of an instance, one after the other.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { causeOf, type Entry, Status, statusOf, timeOf } from "./entry";
import type { EvidenceJson, ExplainResponseJson, LayerJson } from "./gen/meshhealth/v1/admin_pb";
import { Age, Glyph, Outside, StatusWord } from "./parts";
import { look } from "./words";

/** The layers as buttons from the report to the published status. A button shows what its layer knows. */
export const VerdictStrip = ({ entry, layers }: { entry: Entry; layers: readonly LayerJson[] }): JSX.Element | null => {
  const open = useSignal("");
  if (layers.length === 0) return null;
  const chosen = layers.find((l) => l.name === open.value);
  return (
    <section class="verdict" aria-label="How the layers decide">
      <ol>
        {layers.map((l) => (
          <li key={l.name}>
            <button type="button" class={changes(l) ? "layer acts" : "layer"} aria-expanded={l === chosen} aria-controls="layer-detail" onClick={() => (open.value = l === chosen ? "" : (l.name ?? ""))}>
              <span class="layer-name">{l.name}</span> <Glyph status={statusOf(l.out)} unconfirmed={l.unconfirmed ?? false} />
              <span class="visually-hidden">{look[statusOf(l.out)].word}</span>
              <span class="layer-short"><Outside text={shortOf(l)} /></span>
            </button>
          </li>
        ))}
        <li class="published"><strong><StatusWord entry={entry} /></strong></li>
      </ol>
      <div id="layer-detail" class="layer-detail" aria-live="polite">
        {chosen && <Layer layer={chosen} />}
      </div>
    </section>
  );
};

/** The layer passes on another status than it got. The first layer gets none. */
const changes = (l: LayerJson): boolean => l.name !== "reported" && (statusOf(l.in) !== statusOf(l.out) || (l.unconfirmed ?? false));

const mostLetters = 34;

const shortOf = (l: LayerJson): string => {
  const text = l.detail ?? "";
  return text.length > mostLetters ? `${text.slice(0, mostLetters - 1)}…` : text;
};

const Layer = ({ layer: l }: { layer: LayerJson }): JSX.Element => (
  <dl class="facts">
    {l.name !== "reported" && <><dt>gets</dt><dd><Glyph status={statusOf(l.in)} /> {look[statusOf(l.in)].word}</dd></>}
    <dt>passes on</dt><dd><StatusWord entry={{ status: statusOf(l.out), unconfirmed: l.unconfirmed ?? false }} /> {causeOf(l.cause) !== "" && <span class="hint">cause {causeOf(l.cause)}</span>}</dd>
    <dt>{l.name}</dt><dd><Outside text={l.detail ?? ""} /></dd>
    {timeOf(l.since) > 0 && <><dt>for</dt><dd><Age since={timeOf(l.since)} /></dd></>}
  </dl>
);

const isOwn = (e: EvidenceJson): boolean => e.source === "reported" || (e.source ?? "").startsWith("check ");

/** What an instance says of itself, beside what the coordinator could reach. */
export const Witnesses = ({ answer }: { answer: ExplainResponseJson }): JSX.Element | null => {
  const layer = (name: string): LayerJson | undefined => answer.layers?.find((l) => l.name === name);
  const said = layer("reported");
  const reached = layer("reach");
  if (said === undefined || reached === undefined) return null;
  const evidence = answer.evidence ?? [];
  const doubt = (reached.unconfirmed ?? false) || statusOf(reached.out) !== statusOf(reached.in);
  return (
    <section>
      <h2>Two witnesses</h2>
      <div class="witnesses">
        <Witness title="What it says of itself" status={statusOf(said.out)} layer={said} evidence={evidence.filter(isOwn)} />
        <Witness title="What the coordinator could reach" status={statusOf(reached.out)} layer={reached} evidence={evidence.filter((e) => e.source === "reach" || e.source === "lease")} />
      </div>
      {doubt && <p class="hint">They disagree: the coordinator could not confirm what the instance last said.</p>}
    </section>
  );
};

const Witness = ({ title, status, layer, evidence }: { title: string; status: Status; layer: LayerJson; evidence: readonly EvidenceJson[] }): JSX.Element => (
  <div class="witness">
    <h3>{title}</h3>
    <p><StatusWord entry={{ status, unconfirmed: layer.unconfirmed ?? false }} /></p>
    <p><Outside text={layer.detail ?? ""} /></p>
    <ul class="evidence">
      {evidence.map((e, i) => (
        <li key={i}>
          <Outside text={e.source ?? ""} />: <Outside text={e.text || causeOf(e.cause)} />{" "}
          <span class="hint">{(e.count ?? 0) > 1 && `${e.count} in a row, `}{timeOf(e.at) > 0 && <><Age since={timeOf(e.at)} /> ago</>}</span>
        </li>
      ))}
    </ul>
  </div>
);
