// A graph of services: causes left, symptoms right. A list beside it has the same names.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Entry } from "./entry";
import { type Edge, type Layout, layout } from "./layout";
import { viewOfName } from "./parts";
import { hrefOf, state } from "./state";
import { look, visible } from "./words";

const wide = 210; // CSS pixels of a column
const high = 46; // of a row
const box = { width: 160, height: 32 };
/** So many characters of a name fit into a box. */
const mostLetters = 19;

interface GraphProps {
  readonly label: string;
  readonly names: readonly string[];
  readonly edges: readonly Edge[];
  /** The name in the centre of attention. */
  readonly focus: string;
  /** A short text below the name of a node. */
  note?(name: string): string;
}

/** A drawing of a graph. Nodes keep their places while others change. */
export const Graph = ({ label, names, edges, focus, note }: GraphProps): JSX.Element => {
  const { entries } = state.shown.value;
  const before = useRef<Layout | undefined>(undefined);
  const l = layout(names, edges, before.current);
  before.current = l;
  const places = new Map(l.nodes.map((n) => [n.id, { x: n.column * wide + 8, y: n.row * high + 8 }]));
  const width = l.columns * wide - (wide - box.width) + 16;
  return (
    <div class="graphbox" tabIndex={0} role="region" aria-label={`${label}, drawing`}>
      <svg class="graph" width={width} height={l.rows * high + 4} viewBox={`0 0 ${width} ${l.rows * high + 4}`} role="group" aria-label={label}>
        {l.edges.map((e) => {
          const from = places.get(e.from)!;
          const to = places.get(e.to)!;
          const points = [{ x: from.x + box.width, y: from.y + box.height / 2 }];
          for (const p of e.via) {
            const y = p.row * high + 8 + box.height / 2;
            points.push({ x: p.column * wide + 8, y }, { x: p.column * wide + 8 + box.width, y });
          }
          points.push({ x: to.x, y: to.y + box.height / 2 });
          return <path key={`${e.from}\n${e.to}`} class={e.soft ? "edge soft" : "edge"} d={curve(points)} />;
        })}
        {l.nodes.map((n) => {
          const { x, y } = places.get(n.id)!;
          return n.folded.length > 0 ? <Folded key={n.id} x={x} y={y} count={n.folded.length} /> : <Box key={n.id} name={n.id} entry={entries.get(n.id)} x={x} y={y} focus={n.id === focus} note={note?.(n.id) ?? ""} />;
        })}
      </svg>
    </div>
  );
};

/** A line through points, level at each of them. */
const curve = (points: readonly { x: number; y: number }[]): string =>
  points.map((p, i) => {
    if (i === 0) return `M${p.x} ${p.y}`;
    const before = points[i - 1]!;
    const middle = (before.x + p.x) / 2;
    return before.y === p.y ? `H${p.x}` : `C${middle} ${before.y} ${middle} ${p.y} ${p.x} ${p.y}`;
  }).join("");

interface BoxProps {
  readonly name: string;
  /** Undefined if it is not registered. A component is made again only if its properties differ, so the entry is one. */
  readonly entry: Entry | undefined;
  readonly x: number;
  readonly y: number;
  readonly focus: boolean;
  readonly note: string;
}

const Box = ({ name, entry, x, y, focus, note }: BoxProps): JSX.Element => {
  const { glyph, word, className } = entry === undefined ? { glyph: "–", word: "not registered", className: "nothing" } : look[entry.status];
  const shown = visible(name);
  const short = shown.length > mostLetters ? `${shown.slice(0, 8)}…${shown.slice(-mostLetters + 9)}` : shown;
  return (
    <a href={hrefOf(viewOfName(name))} class={`node ${className}${focus ? " focus" : ""}${entry?.unconfirmed ? " unconfirmed" : ""}`}>
      <rect x={x} y={y} width={box.width} height={box.height} rx="4"><title>{`${shown}: ${word}`}</title></rect>
      <text class="glyph" aria-hidden="true" x={x + 12} y={y + 21}>{glyph}</text>
      <text class="unseen" x={x} y={y + 21}>{word} </text>
      <text x={x + 28} y={note === "" ? y + 21 : y + 14}>{short}</text>
      {note !== "" && <text class="note" x={x + 28} y={y + 27}>{note}</text>}
    </a>
  );
};

const Folded = ({ x, y, count }: { x: number; y: number; count: number }): JSX.Element => (
  <g class="node folded">
    <rect x={x} y={y} width={box.width} height={box.height} rx="4" />
    <text x={x + 28} y={y + 21}>+{count} in the list</text>
  </g>
);
