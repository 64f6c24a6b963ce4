// Tables of entries. A long table has only the rows that a person can see, with space for the others.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { upOf } from "./counts";
import type { Entry } from "./entry";
import { Age, Name, Outside, StatusWord } from "./parts";
import { whyIn } from "./rank";
import { useTurn } from "./slowly";
import { state } from "./state";

/** A table with more rows than this is a window onto its rows, all of one height. */
const mostPlain = 40;
/** Rows above and below the window that are there too, so that scrolling shows no empty space. */
const spare = 8;

interface TableProps {
  readonly caption: string;
  readonly names: readonly string[];
  /** The name of the selected entry, or empty. */
  readonly selected: string;
  /** A last column beside the others. */
  readonly extra?: { readonly title: string; cell(name: string): string };
}

/** A table of entries in the order of their names. It follows the entries. */
export const EntryTable = ({ caption, names, selected, extra }: TableProps): JSX.Element => {
  useTurn();
  const mesh = state.shown.value;
  const body = useRef<HTMLTableSectionElement>(null);
  const long = names.length > mostPlain;
  const [first, last, height] = useWindow(body, names.length, long);
  useShowSelected(body, names, selected, long ? height : 0);
  const columns = extra ? 7 : 6;
  return (
    <div class="tablebox">
      <table class={long ? "entries long" : "entries"} aria-rowcount={names.length + 1}>
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col" class="c-status">status</th><th scope="col" class="c-name">name</th><th scope="col" class="c-up">up</th>
            <th scope="col" class="c-for">for</th><th scope="col" class="c-cause">cause</th><th scope="col" class="c-why">why</th>
            {extra && <th scope="col" class="c-extra">{extra.title}</th>}
          </tr>
        </thead>
        <tbody ref={body}>
          {first > 0 && <Space rows={first} height={height} columns={columns} />}
          {names.slice(first, last).map((name, i) => {
            const entry = mesh.entries.get(name);
            return <Row key={name} name={name} entry={entry} why={entry ? whyIn(mesh, entry) : ""} index={first + i + 2} selected={name === selected} extra={extra?.cell(name)} />;
          })}
          {last < names.length && <Space rows={names.length - last} height={height} columns={columns} />}
        </tbody>
      </table>
    </div>
  );
};

const Space = ({ rows, height, columns }: { rows: number; height: number; columns: number }): JSX.Element => (
  <tr aria-hidden="true" class="space"><td colSpan={columns} style={{ height: `${rows * height}px` }} /></tr>
);

interface RowProps {
  readonly name: string;
  /** Undefined if it was removed since the names were put in order. */
  readonly entry: Entry | undefined;
  readonly why: string;
  readonly index: number;
  readonly selected: boolean;
  readonly extra: string | undefined;
}

const Row = ({ name, entry: e, why, index, selected, extra }: RowProps): JSX.Element =>
  // A row is made again only if it says something else.
  useMemo(
    () => (
      <tr class={selected ? "selected" : undefined} aria-rowindex={index} data-name={name} onClick={(click) => select(click, name)}>
        <td class="c-status">{e ? <StatusWord entry={e} /> : "removed"}</td>
        <th scope="row" class={e?.kind === "instance" ? "c-name inner" : "c-name"}><Name name={name} /></th>
        <td class="c-up">{e && upOf(e)}</td>
        <td class="c-for">{e && <Age since={e.since} />}</td>
        <td class="c-cause">{e?.cause}</td>
        <td class="c-why"><Outside text={why} /></td>
        {extra !== undefined && <td class="c-extra">{extra}</td>}
      </tr>
    ),
    [name, e, why, index, selected, extra],
  );

/** A click on a row selects it, unless it is on a link or ends the selection of a text. */
const select = (click: MouseEvent, name: string): void => {
  if ((click.target as Element).closest("a, button") || !(getSelection()?.isCollapsed ?? true)) return;
  state.go({ selected: name }, true);
};

/**
 * Returns the first row to show, the row after the last one, and the height of a row in CSS pixels. A
 * table that nobody sees keeps a few rows, for search in the page and for screen readers.
 */
const useWindow = (body: { current: HTMLElement | null }, rows: number, long: boolean): readonly [number, number, number] => {
  const height = useSignal(31);
  const first = useSignal(0);
  const last = useSignal(2 * spare);
  useLayoutEffect(() => {
    if (!long) return;
    const measure = (): void => {
      const b = body.current;
      if (!b) return;
      height.value = b.querySelector("tr:not(.space)")?.getBoundingClientRect().height || height.peek();
      const { top } = b.getBoundingClientRect();
      // Multiples of the spare rows, so that most steps of scrolling change nothing.
      const step = spare * height.peek();
      first.value = Math.max(0, Math.floor(-top / step) - 1) * spare;
      last.value = (Math.max(1, Math.ceil((innerHeight - top) / step)) + 1) * spare;
    };
    measure();
    // What is above the table may grow or shrink.
    const resized = new ResizeObserver(measure);
    resized.observe(document.body);
    window.addEventListener("scroll", measure, { passive: true });
    return () => {
      resized.disconnect();
      window.removeEventListener("scroll", measure);
    };
  }, [long]);
  if (!long) return [0, rows, 0];
  const to = Math.min(rows, last.value);
  return [Math.max(0, Math.min(first.value, to - spare)), to, height.value];
};

/** Scrolls to the selected row when another one is selected. */
const useShowSelected = (body: { current: HTMLElement | null }, names: readonly string[], selected: string, height: number): void => {
  useEffect(() => {
    const b = body.current;
    const index = selected === "" ? -1 : names.indexOf(selected);
    // A table further up may have the same entry, where the person looks.
    const shown = document.querySelector("tr.selected");
    if (!b || index < 0 || (shown !== null && !b.contains(shown))) return;
    if (height === 0) return b.querySelector("tr.selected")?.scrollIntoView({ block: "nearest" });
    const top = b.getBoundingClientRect().top + index * height;
    if (top < 80 || top + height > innerHeight) scrollBy(0, top - innerHeight / 2);
  }, [selected]);
};
