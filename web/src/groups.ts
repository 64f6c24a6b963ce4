// The groups of the field and where their cells are. Everything here is pure.
import type { Entry } from "./entry";
import { severity } from "./rank";
import { inTrouble } from "./words";

/** What instances can be grouped by. */
export const groupings = ["service", "zone", "version"] as const;

/** Instances that share one value. */
export interface Group {
  /** Empty for the instances that have none. */
  readonly value: string;
  /** The instances, ordered by name. */
  readonly names: readonly string[];
  readonly unwell: number;
  /** The severity of the worst instance. */
  readonly worst: number;
}

/** Returns the value by which an instance is grouped. `by` is a grouping or label.KEY. */
export const valueBy = (by: string): ((e: Entry) => string) => {
  if (by.startsWith("label.")) {
    const key = by.slice("label.".length);
    return (e) => (Object.hasOwn(e.labels, key) ? e.labels[key]! : "");
  }
  if (by === "zone") return (e) => e.zone;
  if (by === "version") return (e) => e.version;
  return (e) => e.service;
};

/** Groups instances. The groups are in the order of `order`, and new ones follow, the worst first. */
export const groupsOf = (instances: Iterable<Entry>, by: string, order: readonly string[] = []): Group[] => {
  const value = valueBy(by);
  const groups = new Map<string, { value: string; names: string[]; unwell: number; worst: number }>();
  for (const e of instances) {
    const v = value(e);
    let g = groups.get(v);
    if (!g) groups.set(v, (g = { value: v, names: [], unwell: 0, worst: 0 }));
    g.names.push(e.name);
    if (inTrouble(e.status)) g.unwell++;
    g.worst = Math.max(g.worst, severity(e));
  }
  const kept: Group[] = [];
  for (const v of order) {
    const g = groups.get(v);
    if (g) kept.push(g);
    groups.delete(v);
  }
  for (const g of [...kept, ...groups.values()]) if (!isSorted(g.names)) (g.names as string[]).sort();
  return [...kept, ...[...groups.values()].sort(worseGroupFirst)];
};

const isSorted = (names: readonly string[]): boolean => {
  for (let i = 1; i < names.length; i++) if (names[i - 1]! > names[i]!) return false;
  return true;
};

/** Compares two groups: by the worst instance, then by the number in trouble, then by value. */
const worseGroupFirst = (a: Group, b: Group): number => b.worst - a.worst || b.unwell - a.unwell || (a.value < b.value ? -1 : 1);

/** Where a group is drawn. */
export interface Block {
  readonly group: Group;
  readonly x: number;
  /** The top of the label, or of the cells if the groups have no labels. */
  readonly y: number;
  readonly columns: number;
  readonly width: number;
}

/** The places of all cells in a field. All lengths are CSS pixels. */
export interface Layout {
  readonly blocks: readonly Block[];
  /** The distance between two cells. */
  readonly cell: number;
  /** The height of a label, or 0 if the groups have none. */
  readonly label: number;
  readonly height: number;
}

const mostLabelled = 80;
const gap = 8;

/** Places the groups from left to right, like words. */
export const layoutOf = (groups: readonly Group[], width: number): Layout => {
  const all = groups.reduce((n, g) => n + g.names.length, 0);
  const cell = all <= 600 ? 14 : all <= 3000 ? 12 : 10;
  const label = groups.length <= mostLabelled ? 18 : 0;
  const most = Math.max(1, Math.floor(width / cell));
  const blocks: Block[] = [];
  let [x, y, row] = [0, 0, 0];
  for (const group of groups) {
    const n = group.names.length;
    const columns = Math.min(most, n > 4 * most ? most : n <= 8 ? n : Math.ceil(Math.sqrt(n) * 1.8));
    const wide = Math.min(width, Math.max(columns * cell, label > 0 ? labelWidth(group) : 0));
    if (x > 0 && x + wide > width) [x, y, row] = [0, y + row + (label > 0 ? gap : 4), 0];
    blocks.push({ group, x, y, columns, width: wide });
    row = Math.max(row, label + Math.ceil(n / columns) * cell);
    x += wide + (label > 0 ? 2 * gap : gap);
  }
  return { blocks, cell, label, height: y + row };
};

/** About the width of a label. A longer one is cut. */
const labelWidth = (g: Group): number => Math.min(240, 8 * labelOf(g).length);

/** The label of a group: its value and its number of instances. Nothing in it changes with a status. */
export const labelOf = (g: Group): string => `${g.value === "" ? "(none)" : g.value} ${g.names.length}`;

/** The place of the cell number `i` in a block. */
export const cellAt = (l: Layout, b: Block, i: number): { x: number; y: number } => ({
  x: b.x + (i % b.columns) * l.cell, y: b.y + l.label + Math.floor(i / b.columns) * l.cell,
});

/** The name of the instance at a place, or undefined. */
export const nameAt = (l: Layout, x: number, y: number): string | undefined => {
  for (const b of l.blocks) {
    const column = Math.floor((x - b.x) / l.cell);
    const row = Math.floor((y - b.y - l.label) / l.cell);
    if (column < 0 || column >= b.columns || row < 0) continue;
    const name = b.group.names[row * b.columns + column];
    if (name !== undefined) return name;
  }
  return undefined;
};
