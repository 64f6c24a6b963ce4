// The layout of a graph of services: causes on the left, symptoms on the right. Everything here is pure.

/** An edge from a service that is needed to a service that needs it. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly soft: boolean;
}

/** A place: columns from the left and rows from the top, both from 0. */
export interface Place {
  readonly column: number;
  readonly row: number;
}

/** An edge with the places through which it goes. No node is there. */
export interface Drawn extends Edge {
  readonly via: readonly Place[];
}

/** A node with its place. */
export interface Node extends Place {
  /** The name, or a text that no name has if the node stands for several. */
  readonly id: string;
  /** The names that the node stands for. It is empty for a node of one service. */
  readonly folded: readonly string[];
}

/** A graph with places. */
export interface Layout {
  readonly nodes: readonly Node[];
  readonly edges: readonly Drawn[];
  readonly columns: number;
  readonly rows: number;
}

/** The largest number of nodes that a graph draws. */
export const maxNodes = 60;

/**
 * Places the nodes of a graph. The column of a node is the length of the longest way to it. Inside a
 * column the nodes keep the order that they had in `before`; new nodes come where their neighbours are.
 * If there are more than `limit` nodes, each long column shows its first nodes in the order of `names`
 * and folds the others into one node.
 */
export const layout = (names: readonly string[], edges: readonly Edge[], before?: Layout, limit = maxNodes): Layout => {
  const known = new Set(names);
  const unique = [...known];
  const inner = edges.filter((e) => known.has(e.from) && known.has(e.to) && e.from !== e.to);
  const columns = fold(columnsOf(unique, inner), limit);
  const home = new Map<string, string>(); // the node in which each name is
  for (const column of columns) for (const n of column) for (const name of n.folded.length > 0 ? n.folded : [n.id]) home.set(name, n.id);
  const drawn = joined(inner, home);
  const passing = passages(columns, drawn);
  const ordered = order(passing.columns, passing.parts, before);
  const places = new Map<string, Node>();
  ordered.forEach((column, c) => column.forEach((n, r) => places.set(n.id, { id: n.id, folded: n.folded, column: c, row: r })));
  return {
    nodes: [...places.values()].filter((n) => !n.id.startsWith(passage)),
    edges: drawn.map((e) => ({ ...e, via: passing.via(e).map((id) => ({ column: places.get(id)!.column, row: places.get(id)!.row })) })),
    columns: ordered.length, rows: Math.max(0, ...ordered.map((column) => column.length)),
  };
};

interface Item {
  readonly id: string;
  readonly folded: readonly string[];
}

/** Returns the names by column. An edge that closes a cycle does not count. */
const columnsOf = (names: readonly string[], edges: readonly Edge[]): Item[][] => {
  const causes = new Map<string, string[]>(names.map((n) => [n, []]));
  for (const e of edges) causes.get(e.to)?.push(e.from);
  const depth = new Map<string, number>();
  const open = new Set<string>();
  for (const start of names) {
    const stack = [start]; // without recursion, because a chain may be longer than the call stack allows
    while (stack.length > 0) {
      const name = stack[stack.length - 1]!;
      if (depth.has(name)) {
        stack.pop();
        continue;
      }
      const waiting = open.has(name) ? [] : causes.get(name)!.filter((c) => !depth.has(c) && !open.has(c));
      open.add(name);
      if (waiting.length > 0) {
        stack.push(...waiting);
        continue;
      }
      let d = 0;
      for (const c of causes.get(name)!) d = Math.max(d, (depth.get(c) ?? -1) + 1);
      depth.set(name, d);
      open.delete(name);
      stack.pop();
    }
  }
  const columns: Item[][] = [];
  for (const name of names) (columns[depth.get(name)!] ??= []).push({ id: name, folded: [] });
  return columns;
};

/** Folds nodes so that at most `limit` are left. Columns beyond the last place are folded into one node. */
const fold = (columns: Item[][], limit: number): Item[][] => {
  const size = (cap: number): number => columns.reduce((n, c) => n + (c.length > cap ? cap + 1 : c.length), 0);
  let cap = Math.max(0, ...columns.map((c) => c.length));
  if (size(cap) <= limit) return columns;
  if (columns.length >= limit) {
    const rest = columns.slice(limit - 1).flat();
    columns = [...columns.slice(0, limit - 1), [folded(limit - 1, rest)]];
  }
  while (cap > 0 && size(cap) > limit) cap--;
  return columns.map((c, i) => (c.length > cap && c.length > 1 ? [...c.slice(0, cap), folded(i, c.slice(cap))] : c));
};

// A name has no control characters, so that the identifier of a folded node equals no name.
const folded = (column: number, items: readonly Item[]): Item =>
  items.length === 1 ? items[0]! : { id: `\u0000${column}`, folded: items.flatMap((n) => (n.folded.length > 0 ? n.folded : [n.id])) };

/** Moves edges of folded names to their nodes, and drops the ones that this makes equal. A hard edge hides a soft one. */
const joined = (edges: readonly Edge[], home: ReadonlyMap<string, string>): Edge[] => {
  const found = new Map<string, Edge>();
  for (const e of edges) {
    const from = home.get(e.from)!;
    const to = home.get(e.to)!;
    const key = `${from}\n${to}`;
    if (from !== to && (found.get(key)?.soft ?? true)) found.set(key, { from, to, soft: e.soft });
  }
  return [...found.values()];
};

const passage = "\u0001";

interface Passages {
  readonly columns: Item[][];
  /** Edges between neighbouring columns. */
  readonly parts: readonly Edge[];
  via(e: Edge): string[];
}

/** Adds a passage to each column that a long edge crosses. The long edges of one node share their passages. */
const passages = (columns: readonly Item[][], edges: readonly Edge[]): Passages => {
  const column = new Map<string, number>();
  columns.forEach((list, c) => list.forEach((n) => column.set(n.id, c)));
  const all = columns.map((list) => [...list]);
  const parts: Edge[] = [];
  const made = new Set<string>();
  const via = (e: Edge): string[] => {
    const ids: string[] = [];
    for (let c = column.get(e.from)! + 1; c < column.get(e.to)!; c++) ids.push(`${passage}${c} ${e.from}`);
    return ids;
  };
  for (const e of edges) {
    let last = e.from;
    for (const id of via(e)) {
      if (!made.has(id)) {
        made.add(id);
        all[Number(id.slice(1, id.indexOf(" ")))]!.push({ id, folded: [] });
        parts.push({ from: last, to: id, soft: e.soft });
      }
      last = id;
    }
    parts.push({ from: last, to: e.to, soft: e.soft });
  }
  return { columns: all, parts, via };
};

/** Names come first, then folded nodes, then passages. */
const kind = (n: Item): number => (n.id.startsWith(passage) ? 2 : n.folded.length > 0 ? 1 : 0);
const byName = (a: Item, b: Item): number => kind(a) - kind(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** Orders each column by the middle of the neighbours on the left, then by name. Nodes of `before` keep their order. */
const order = (columns: Item[][], edges: readonly Edge[], before: Layout | undefined): Item[][] => {
  const causes = new Map<string, string[]>();
  for (const e of edges) causes.set(e.to, [...(causes.get(e.to) ?? []), e.from]);
  const old = new Map(before?.nodes.map((n) => [n.id, n]));
  const rows = new Map<string, number>();
  return columns.map((column, c) => {
    const middle = new Map<string, number>();
    for (const n of column) {
      const left = (causes.get(n.id) ?? []).map((id) => rows.get(id)).filter((r) => r !== undefined);
      middle.set(n.id, left.length === 0 ? 0 : left.reduce((a, b) => a + b, 0) / left.length);
    }
    const kept = column.filter((n) => old.get(n.id)?.column === c).sort((a, b) => old.get(a.id)!.row - old.get(b.id)!.row);
    const fresh = column.filter((n) => old.get(n.id)?.column !== c).sort((a, b) => middle.get(a.id)! - middle.get(b.id)! || byName(a, b));
    const out = [...kept];
    for (const n of fresh) {
      const place = kept.length === 0 ? -1 : out.findIndex((o) => middle.get(o.id)! > middle.get(n.id)! || (middle.get(o.id) === middle.get(n.id) && byName(o, n) > 0));
      if (place < 0) out.push(n);
      else out.splice(place, 0, n);
    }
    out.forEach((n, r) => rows.set(n.id, r));
    return out;
  });
};
