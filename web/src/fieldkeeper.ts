// Keeps a field up to date: it decides when cells are drawn again, and when they are placed anew.
import type { Entry } from "./entry";
import { Field } from "./field";
import { type Group, groupsOf, layoutOf, worseGroupFirst } from "./groups";
import { state } from "./state";

/** The shortest time between two layouts because of entries that came, went, or match no longer. */
const layoutEvery = 500;
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
  private laidOut = 0;
  private ordered = 0;
  private layoutTimer: ReturnType<typeof setTimeout> | undefined;
  /** The pointer is over the field, so nothing may move. */
  held = false;

  constructor(private readonly box: HTMLElement, canvas: HTMLCanvasElement) {
    this.field = new Field(canvas);
    this.stopFrames = state.onFrame((changed) => this.frame(changed));
    this.resized = new ResizeObserver(() => this.layout(this.order()));
    this.resized.observe(box);
  }

  /** Shows other instances or groups. */
  show(content: FieldContent): void {
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
    if (this.structure !== mesh.structure || this.content?.filtered) this.layoutSoon();
    if (!this.held && performance.now() - this.ordered > orderEvery) this.orderIfWorse();
  }

  private layoutSoon(): void {
    this.layoutTimer ??= setTimeout(() => requestAnimationFrame(() => this.layout(this.order())), Math.max(0, this.laidOut + layoutEvery - performance.now()));
  }

  /** Sorts if another group is worse than the first one. */
  private orderIfWorse(): void {
    this.ordered = performance.now();
    const worst = this.grouped([])[0];
    const first = this.groups[0];
    if (!worst || !first || worst.value === first.value) return;
    const now = this.grouped([first.value])[0]!;
    if (worst.worst > now.worst || worseGroupFirst(worst, now) < 0) this.layout([]);
  }

  private order(): string[] {
    return this.groups.map((g) => g.value);
  }

  private grouped(order: readonly string[]): Group[] {
    if (!this.content) return [];
    return groupsOf(this.instances(this.content.matches), this.content.by, order);
  }

  private *instances(matches: (e: Entry) => boolean): Generator<Entry> {
    for (const e of state.shown.peek().entries.values()) if (e.kind === "instance" && matches(e)) yield e;
  }

  private layout(order: readonly string[]): void {
    clearTimeout(this.layoutTimer);
    this.layoutTimer = undefined;
    const width = this.box.clientWidth;
    if (!this.content || width === 0) return;
    const mesh = state.shown.peek();
    this.structure = mesh.structure;
    this.groups = this.grouped(order);
    this.field.show(layoutOf(this.groups, width), width, mesh.entries);
    this.laidOut = performance.now();
    if (order.length === 0) this.ordered = this.laidOut;
  }
}
