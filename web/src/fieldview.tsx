// The field with its heading, its groupings, and the line about the cell under the pointer.
import { statuses } from "./entry";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { FieldKeeper, type FieldContent } from "./fieldkeeper";
import { groupings } from "./groups";
import { useKeys } from "./keys";
import { Age, Glyph, Name, Outside, StatusWord, viewOfName } from "./parts";
import { useTurn } from "./slowly";
import { state } from "./state";
import { theme } from "./theme";
import { look, whyOf } from "./words";

/** All instances that match, as cells. The table below it has the same entries in words. */
export const FieldView = ({ matches, filtered }: Pick<FieldContent, "matches" | "filtered">): JSX.Element => {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const keeper = useRef<FieldKeeper>(undefined);
  const under = useSignal("");
  const failed = useSignal(false);
  const by = state.route.value.group || "service";
  // The box has its height before the browser paints it for the first time, so that nothing below it moves.
  useLayoutEffect(() => {
    const k = new FieldKeeper(box.current!, canvas.current!, () => (failed.value = true));
    keeper.current = k;
    k.show({ by, matches, filtered });
    return () => k.close();
  }, []);
  // Later the rows come first.
  useEffect(() => keeper.current?.show({ by, matches, filtered }), [by, matches, filtered]);
  useColours(() => keeper.current?.recolour());
  useKeys([{ key: "o", does: "put the worst group first", run: () => keeper.current?.sort() }]);
  const point = (e: PointerEvent): void => {
    keeper.current!.held = true;
    under.value = keeper.current!.nameAt(e.offsetX, e.offsetY);
  };
  return (
    <section class="fieldsection" aria-labelledby="field-title">
      <div class="sectionhead">
        <h2 id="field-title">Instances</h2>
        <GroupChoice by={by} />
        <Legend />
      </div>
      {failed.value ? <p class="under" role="status">The cells could not be loaded. The table below has the same in words.</p> : (
        <>
          <UnderPointer name={under.value} />
          <div ref={box} class="field">
            <canvas ref={canvas} role="img" aria-label="A cell for each instance. The table below says the same in words." onPointerMove={point}
              onPointerLeave={() => { keeper.current!.held = false; under.value = ""; }}
              onClick={() => under.value !== "" && state.go({ view: viewOfName(under.value) })} />
          </div>
        </>
      )}
    </section>
  );
};

/** Calls `changed` when the colours of the page have changed. */
const useColours = (changed: () => void): void => {
  const latest = useRef(changed);
  latest.current = changed;
  useEffect(() => latest.current(), [theme.value]);
  useEffect(() => {
    const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((q) => matchMedia(q));
    const call = (): void => latest.current();
    for (const q of queries) q.addEventListener("change", call);
    return () => queries.forEach((q) => q.removeEventListener("change", call));
  }, []);
};

const GroupChoice = ({ by }: { by: string }): JSX.Element => {
  useTurn(1000);
  const labels = labelKeys();
  const known: readonly string[] = [...groupings, ...labels.map((k) => `label.${k}`)];
  return (
    <label>by{" "}
      <select value={by} onChange={(e) => state.go({ group: e.currentTarget.value === "service" ? "" : e.currentTarget.value }, true)}>
        {(known.includes(by) ? known : [...known, by]).map((g) => <option key={g} value={g}>{g}</option>)}
      </select>
    </label>
  );
};

const mostLabels = 20;

/** The keys of the labels of some instances. */
const labelKeys = (): string[] => {
  const keys = new Set<string>();
  let seen = 0;
  for (const e of state.shown.peek().instances.values()) {
    for (const k in e.labels) keys.add(k);
    if (keys.size >= mostLabels || ++seen >= 200) break;
  }
  return [...keys].sort().slice(0, mostLabels);
};

/** What the shapes stand for. */
const Legend = (): JSX.Element => (
  <ul class="legend" aria-label="Shapes">
    {statuses.map((s) => <li key={s}><Glyph status={s} /> {look[s].word}</li>)}
    <li><span class="hatch" aria-hidden="true" /> unconfirmed</li>
  </ul>
);

/** The entry under the pointer, in a line that is always there, so that nothing moves. */
const UnderPointer = ({ name }: { name: string }): JSX.Element => {
  useTurn();
  const e = name === "" ? undefined : state.shown.value.entries.get(name);
  if (!e) return <p class="under hint">Point at a cell to see what it is. A click opens it.</p>;
  return <p class="under"><StatusWord entry={e} /> <Name name={e.name} /> <Age since={e.since} /> <Outside text={whyOf(e)} /></p>;
};
