// Keeps a field up to date: it decides when cells are drawn again, and when they are placed anew.
import type { Entry } from "./entry";
import { Field } from "./field";
import { type Group, groupsOf, layoutOf } from "./groups";
import { state } from "./state";

/** At most one part of this many of the time goes to layouts because entries came, went, or match no longer. */
const layoutShare = 10;
/** How often the cells are placed while the first snapshot arrives, in ms. */
const readingEvery = 500;
/** How often a group may come first because it is the worst now. */
const orderEvery = 5000;

/** What a field shows. */
export interface FieldContent {
  /** A grouping, or label.KEY. */
  readonly by: string;
  readonly matches: (e: Entry) => boolean;
  /** The entries that match may differ after each change. */
  readonly filtered: boolean;
}

export class FieldKeeper {
  private readonly field: Field;
  private readonly stopFrames: () => void;
  private readonly resized: ResizeObserver;
  private content: FieldContent | undefined;
  private groups: readonly Group[] = [];
  private structure = -1;
  /** The width of the box for which the cells were placed, in CSS pixels. */
  private width = 0;
  /** The earliest time of the next layout of this kind. */
  private nextLayout = 0;
  private ordered = 0;
  /** The cells were placed while the first snapshot arrived. */
  private partial = false;
  private layoutTimer: ReturnType<typeof setTimeout> | undefined;
  /** The pointer is over the field, so nothing may move. */
  held = false;

  constructor(private readonly box: HTMLElement, canvas: HTMLCanvasElement, failed: () => void) {
    this.field = new Field(canvas, (cells) => this.painted(cells), failed);
    this.stopFrames = state.onFrame((changed) => this.frame(changed));
    this.resized = new ResizeObserver(() => {
      // The height of the box follows from the layout.
      if (this.box.clientWidth !== this.width) this.layout(this.order());
    });
    this.resized.observe(box);
  }

  /** Shows other instances or groups. */
  show(content: FieldContent): void {
    if (this.content?.by === content.by && this.content.matches === content.matches) return;
    const order = this.content?.by === content.by ? this.order() : [];
    this.content = content;
    this.layout(order);
  }

  /** Puts the worst group first. */
  sort(): void {
    this.layout([]);
  }

  recolour(): void {
    this.field.recolour();
  }

  nameAt(x: number, y: number): string {
    return this.field.nameAt(x, y) ?? "";
  }

  close(): void {
    this.stopFrames();
    this.resized.disconnect();
    clearTimeout(this.layoutTimer);
    this.field.close();
  }

  private frame(changed: ReadonlySet<string> | undefined): void {
    const mesh = state.shown.peek();
    if (changed === undefined) return this.layout(this.order());
    this.field.update(changed, mesh.entries);
    if (this.structure !== mesh.structure && this.partial && !isReading()) this.layout(this.order());
    else if (this.structure !== mesh.structure || this.content?.filtered) this.layoutSoon();
    if (!this.held && performance.now() - this.ordered > orderEvery) this.orderIfWorse();
  }

  private layoutSoon(): void {
    this.layoutTimer ??= setTimeout(() => requestAnimationFrame(() => this.layout(this.order())), Math.max(0, this.nextLayout - performance.now()));
  }

  /** Sorts if another group has a worse status than the first one, or twice as many instances in trouble. */
  private orderIfWorse(): void {
    this.ordered = performance.now();
    const groups = this.grouped([]);
    const first = groups.find((g) => g.value === this.groups[0]?.value);
    if (first && groups[0] !== first && (groups[0]!.worst > first.worst || groups[0]!.unwell > 2 * first.unwell)) this.place(groups);
  }

  private order(): string[] {
    return this.groups.map((g) => g.value);
  }

  private grouped(order: readonly string[]): Group[] {
    if (!this.content) return [];
    return groupsOf(this.instances(this.content.matches), this.content.by, order);
  }

  private *instances(matches: (e: Entry) => boolean): Generator<Entry> {
    for (const e of state.shown.peek().instances.values()) if (matches(e)) yield e;
  }

  private layout(order: readonly string[]): void {
    this.place(this.grouped(order));
    if (order.length === 0) this.ordered = performance.now();
  }

  private place(groups: readonly Group[]): void {
    clearTimeout(this.layoutTimer);
    this.layoutTimer = undefined;
    const width = this.box.clientWidth;
    if (!this.content || width === 0) return;
    this.width = width;
    const began = performance.now();
    const mesh = state.shown.peek();
    this.structure = mesh.structure;
    this.groups = groups;
    const layout = layoutOf(groups, width);
    this.box.style.height = `${layout.height}px`;
    this.field.show(layout, width, mesh.entries);
    const ended = performance.now();
    this.partial = isReading();
    this.nextLayout = ended + (this.partial ? readingEvery : layoutShare * (ended - began));
  }

  /** For measurements: marks the first time that the field has all entries. */
  private painted(cells: number): void {
    if (marked || this.partial || cells !== this.groups.reduce((n, g) => n + g.names.length, 0)) return;
    marked = true;
    performance.mark("meshhealth: field drawn");
  }
}

let marked = false;

/** The tab is told of a state after it has applied what came before, so the first entries come while it is connecting. */
const isReading = (): boolean => ["connecting", "reading"].includes(state.connection.peek().state);
