// Draws the field: one cell for each instance, on a canvas. Only cells that have changed are drawn again.
import { type Entry, Status } from "./entry";
import { cellAt, type Layout, labelOf, nameAt } from "./groups";
import { look, statuses, visible } from "./words";

/** How long a changed cell has a frame around it, in ms. */
const haloFor = 1000;

interface Cell {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  /** The number of the sprite that is drawn, or -1. */
  sprite: number;
  status: Status;
  /** When the frame around it ends, or 0. */
  haloEnd: number;
}

/** A field on a canvas. It must be told when entries change, and when the colours change. */
export class Field {
  private readonly context: CanvasRenderingContext2D;
  private readonly cells = new Map<string, Cell>();
  private layout: Layout = { blocks: [], cell: 10, label: 0, height: 0 };
  private entries: ReadonlyMap<string, Entry> = new Map();
  private sprites: HTMLCanvasElement | undefined;
  private scale = 1;
  private ink = "";
  private paper = "";
  /** The cells with a frame, in the order in which it ends. */
  private halos: Cell[] = [];
  private haloTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
  }

  /** Places all cells anew and draws them. */
  show(layout: Layout, width: number, entries: ReadonlyMap<string, Entry>): void {
    this.layout = layout;
    this.entries = entries;
    this.cells.clear();
    this.forgetHalos();
    for (const b of layout.blocks) {
      b.group.names.forEach((name, i) => {
        this.cells.set(name, { name, ...cellAt(layout, b, i), sprite: -1, status: entries.get(name)?.status ?? Status.Unknown, haloEnd: 0 });
      });
    }
    this.scale = devicePixelRatio;
    this.canvas.width = Math.round(width * this.scale);
    this.canvas.height = Math.round(Math.max(1, layout.height) * this.scale);
    this.canvas.style.height = `${layout.height}px`;
    this.recolour();
  }

  /** Draws everything again with the present colours of the page. */
  recolour(): void {
    const style = getComputedStyle(this.canvas);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    this.ink = colour("ink-soft");
    this.paper = colour("paper");
    this.sprites = drawSprites(this.layout.cell, this.scale, this.paper, this.ink, colour);
    this.context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.context.fillStyle = this.paper;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawLabels(style.fontFamily);
    for (const cell of this.cells.values()) {
      cell.sprite = -1;
      this.draw(cell);
    }
  }

  /** Draws the entries that have changed. The set may have names that are not in the field. */
  update(changed: ReadonlySet<string> | undefined, entries: ReadonlyMap<string, Entry>): void {
    this.entries = entries;
    const now = performance.now();
    for (const name of changed ?? this.cells.keys()) {
      const cell = this.cells.get(name);
      if (!cell) continue;
      const status = entries.get(name)?.status ?? Status.Unknown;
      if (status !== cell.status && changed !== undefined && !this.calm.matches) {
        if (cell.haloEnd === 0) this.halos.push(cell);
        cell.haloEnd = now + haloFor;
      }
      cell.status = status;
      this.draw(cell);
    }
    this.endHalos(now);
  }

  /** The name of the instance at a place of the canvas, in CSS pixels. */
  nameAt(x: number, y: number): string | undefined {
    return nameAt(this.layout, x, y);
  }

  /** Ends the timer. */
  close(): void {
    this.forgetHalos();
  }

  private draw(cell: Cell): void {
    const e = this.entries.get(cell.name);
    const sprite = spriteOf(cell.status, e?.unconfirmed ?? false, cell.haloEnd > 0);
    if (sprite === cell.sprite || !this.sprites) return;
    cell.sprite = sprite;
    const size = this.layout.cell;
    const pixels = Math.round(size * this.scale);
    this.context.drawImage(this.sprites, sprite * pixels, 0, pixels, pixels, cell.x, cell.y, size, size);
  }

  private drawLabels(font: string): void {
    if (this.layout.label === 0) return;
    this.context.font = `12px ${font}`;
    this.context.textBaseline = "middle";
    this.context.fillStyle = this.ink;
    for (const b of this.layout.blocks) {
      let text = visible(labelOf(b.group));
      while (text.length > 1 && this.context.measureText(text).width > b.width) text = `${text.slice(0, -2)}…`;
      this.context.fillText(text, b.x, b.y + this.layout.label / 2);
    }
  }

  private endHalos(now: number): void {
    const still: Cell[] = [];
    let next = Infinity;
    for (const cell of this.halos) {
      if (cell.haloEnd > now) {
        still.push(cell);
        next = Math.min(next, cell.haloEnd);
        continue;
      }
      cell.haloEnd = 0;
      this.draw(cell);
    }
    this.halos = still;
    clearTimeout(this.haloTimer);
    if (still.length > 0) this.haloTimer = setTimeout(() => requestAnimationFrame((t) => this.endHalos(t)), next - now + 50);
  }

  private forgetHalos(): void {
    clearTimeout(this.haloTimer);
    this.halos = [];
  }
}

const kinds = statuses.length;
const spriteOf = (s: Status, unconfirmed: boolean, halo: boolean): number =>
  Math.max(0, statuses.indexOf(s)) + (unconfirmed ? kinds : 0) + (halo ? 2 * kinds : 0);

/** Draws each possible cell once. A shape stands for a status, a hatch for unconfirmed, a frame for a change. */
const drawSprites = (size: number, scale: number, paper: string, ink: string, colour: (name: string) => string): HTMLCanvasElement => {
  const pixels = Math.round(size * scale);
  const sheet = document.createElement("canvas");
  sheet.width = pixels * kinds * 4;
  sheet.height = pixels;
  const c = sheet.getContext("2d", { alpha: false })!;
  c.fillStyle = paper;
  c.fillRect(0, 0, sheet.width, sheet.height);
  for (let variant = 0; variant < 4; variant++) {
    statuses.forEach((s, i) => {
      c.save();
      c.translate((i + variant * kinds) * pixels, 0);
      c.scale(pixels / size, pixels / size);
      c.beginPath();
      c.rect(0, 0, size, size);
      c.clip();
      if ((variant & 1) !== 0) drawHatch(c, size, ink);
      c.fillStyle = c.strokeStyle = colour(look[s].className);
      shapes[s]?.(c, size / 2, size / 2 - 1.5);
      if ((variant & 2) !== 0) {
        c.strokeStyle = ink;
        c.lineWidth = 1;
        c.strokeRect(0.5, 0.5, size - 1, size - 1);
      }
      c.restore();
    });
  }
  return sheet;
};

const drawHatch = (c: CanvasRenderingContext2D, size: number, ink: string): void => {
  c.strokeStyle = ink;
  c.globalAlpha = 0.65;
  c.lineWidth = 1;
  c.beginPath();
  for (let d = -size; d < size; d += 4) {
    c.moveTo(d, size);
    c.lineTo(d + size, 0);
  }
  c.stroke();
  c.globalAlpha = 1;
};

type Shape = (c: CanvasRenderingContext2D, middle: number, r: number) => void;

const polygon = (c: CanvasRenderingContext2D, how: "fill" | "stroke", points: readonly (readonly [number, number])[]): void => {
  c.lineWidth = 1.5;
  c.beginPath();
  for (const [x, y] of points) c.lineTo(x, y);
  c.closePath();
  c[how]();
};

const ring: Shape = (c, m, r) => {
  c.lineWidth = 1.5;
  c.beginPath();
  c.arc(m, m, r - 0.5, 0, 2 * Math.PI);
  c.stroke();
};

/** The shapes differ in outline, so that they can be told apart without colour. SERVING is the smallest. */
const shapes: Partial<Record<Status, Shape>> = {
  [Status.Serving]: (c, m, r) => {
    c.beginPath();
    c.arc(m, m, r * 0.72, 0, 2 * Math.PI);
    c.fill();
  },
  [Status.Degraded]: (c, m, r) => polygon(c, "fill", [[m, m - r], [m + r, m + r], [m - r, m + r]]),
  [Status.NotServing]: (c, m, r) => {
    c.lineWidth = Math.max(2.5, r * 0.8);
    c.beginPath();
    for (const d of [1, -1]) {
      c.moveTo(m - r, m - d * r);
      c.lineTo(m + r, m + d * r);
    }
    c.stroke();
  },
  [Status.Unknown]: (c, m, r) => polygon(c, "stroke", [[m, m - r], [m + r, m], [m, m + r], [m - r, m]]),
  [Status.Starting]: (c, m, r) => {
    ring(c, m, r);
    c.beginPath();
    c.moveTo(m, m);
    c.arc(m, m, r, -Math.PI / 2, 0);
    c.fill();
  },
  [Status.Draining]: (c, m, r) => polygon(c, "stroke", [[m - r, m - r], [m + r, m - r], [m, m + r]]),
  [Status.Maintenance]: (c, m, r) => c.fillRect(m - r * 0.85, m - r * 0.85, r * 1.7, r * 1.7),
};
