// The field: one cell for each instance. It knows the places and the looks of the cells, and a painter in
// a worker paints them.
import { lookOf } from "./cell";
import { type Entry, statuses } from "./entry";
import { cellAt, type Layout, labelOf, nameAt } from "./groups";
import type { Changes, Colours, Label, Order, Scene } from "./painter";
import { look, visible } from "./words";

/** The browser can paint in a worker. */
export const hasField = "transferControlToOffscreen" in (globalThis.HTMLCanvasElement?.prototype ?? {});

/** A field on a canvas, which it takes for good. It must be told when entries change, and when the colours change. */
export class Field {
  private readonly painter: Worker;
  /** The number of the cell of an instance, and the look of each cell. */
  private readonly cells = new Map<string, number>();
  private looks = new Uint8Array(0);
  private places = new Uint32Array(0);
  private layout: Layout = { blocks: [], cell: 10, label: 0, height: 0 };
  private width = 0;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");

  /** `painted` is called after all cells were painted, with their number, and `failed` if the painter cannot be loaded. */
  constructor(private readonly canvas: HTMLCanvasElement, painted: (cells: number) => void, failed: () => void) {
    this.painter = new Worker(new URL("assets/painter.js", document.baseURI), { type: "module", name: "meshhealth field" });
    this.painter.onmessage = (e: MessageEvent<number>) => painted(e.data);
    this.painter.onerror = failed;
    const offscreen = canvas.transferControlToOffscreen();
    this.send({ kind: "canvas", canvas: offscreen }, [offscreen]);
  }

  /** Places all cells anew. */
  show(layout: Layout, width: number, entries: ReadonlyMap<string, Entry>): void {
    [this.layout, this.width] = [layout, width];
    const scale = scaleNow();
    const wide = Math.ceil(width * scale);
    this.cells.clear();
    const places: number[] = [];
    const looks: number[] = [];
    for (const b of layout.blocks) {
      b.group.names.forEach((name, i) => {
        const { x, y } = cellAt(layout, b, i);
        this.cells.set(name, places.length);
        places.push(Math.floor(y * scale) * wide + Math.floor(x * scale));
        looks.push(lookOf(entries.get(name)));
      });
    }
    [this.places, this.looks] = [Uint32Array.from(places), Uint8Array.from(looks)];
    this.recolour();
  }

  /** Paints everything again with the present colours of the page. */
  recolour(): void {
    const { layout, width } = this;
    if (width === 0) return;
    const style = getComputedStyle(this.canvas);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const colours: Colours = { paper: colour("paper"), ink: colour("ink-soft"), statuses: statuses.map((s) => colour(look[s].className)) };
    const labels: Label[] = layout.label === 0 ? [] : layout.blocks.map((b) => ({ text: visible(labelOf(b.group)), x: b.x, y: b.y + layout.label / 2, width: b.width }));
    const scale = scaleNow();
    const scene: Scene = {
      kind: "scene", scale, width: Math.ceil(width * scale), height: Math.ceil(Math.max(1, layout.height) * scale), cell: layout.cell,
      colours, font: style.fontFamily, labels, places: this.places, looks: this.looks,
    };
    this.send(scene);
  }

  /** Paints the entries that look different now. The set may have names that are not in the field. */
  update(changed: ReadonlySet<string>, entries: ReadonlyMap<string, Entry>): void {
    const cells: number[] = [];
    for (const name of changed) {
      const cell = this.cells.get(name);
      if (cell === undefined) continue;
      const look = lookOf(entries.get(name));
      if (look === this.looks[cell]) continue;
      this.looks[cell] = look;
      cells.push(cell);
    }
    if (cells.length === 0) return;
    const changes: Changes = { kind: "changes", cells: Uint32Array.from(cells), looks: Uint8Array.from(cells, (cell) => this.looks[cell]!), calm: this.calm.matches };
    this.send(changes, [changes.cells.buffer, changes.looks.buffer]);
  }

  /** The name of the instance at a place of the canvas, in CSS pixels. */
  nameAt(x: number, y: number): string | undefined {
    return nameAt(this.layout, x, y);
  }

  /** Ends the painter. */
  close(): void {
    this.painter.terminate();
  }

  private send(order: Order, owned: Transferable[] = []): void {
    this.painter.postMessage(order, owned);
  }
}

const scaleNow = (): number => Math.min(devicePixelRatio, 2);
