// Draws the field: one cell for each instance. Cells are copied as pixels into an image of the canvas,
// because that is ten times faster than drawImage where no graphics processor helps.
import { type Entry, Status } from "./entry";
import { cellAt, type Layout, labelOf, nameAt } from "./groups";
import { look, statuses, visible } from "./words";

/** How long a changed cell has a frame around it, in ms. */
const haloFor = 1000;

interface Cell {
  readonly name: string;
  /** The place of its first pixel in the image. */
  readonly place: number;
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
  /** The image of the whole canvas, and the same as one number for each pixel. */
  private image: ImageData | undefined;
  private pixels = new Uint32Array(0);
  private sprites: readonly Uint32Array[] = [];
  /** Device pixels for each CSS pixel, and for the side of a cell. */
  private scale = 1;
  private side = 10;
  /** The rows of the image that are not yet on the canvas. */
  private top = Infinity;
  private bottom = 0;
  private halos: Cell[] = [];
  private haloTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true })!;
  }

  /** Places all cells anew and draws them. */
  show(layout: Layout, width: number, entries: ReadonlyMap<string, Entry>): void {
    this.layout = layout;
    this.entries = entries;
    this.scale = Math.min(devicePixelRatio, 2);
    this.side = Math.floor(layout.cell * this.scale);
    this.canvas.width = Math.ceil(width * this.scale);
    this.canvas.height = Math.ceil(Math.max(1, layout.height) * this.scale);
    this.canvas.style.height = `${layout.height}px`;
    this.cells.clear();
    this.forgetHalos();
    for (const b of layout.blocks) {
      b.group.names.forEach((name, i) => {
        const { x, y } = cellAt(layout, b, i);
        const place = Math.floor(y * this.scale) * this.canvas.width + Math.floor(x * this.scale);
        this.cells.set(name, { name, place, sprite: -1, status: entries.get(name)?.status ?? Status.Unknown, haloEnd: 0 });
      });
    }
    this.recolour();
  }

  /** Draws everything again with the present colours of the page. */
  recolour(): void {
    const style = getComputedStyle(this.canvas);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    this.sprites = drawSprites(this.layout.cell, this.side, colour);
    const { width, height } = this.canvas;
    this.image = this.layout.label === 0 ? new ImageData(width, height) : this.labelled(style.fontFamily, colour("paper"), colour("ink-soft"));
    this.pixels = new Uint32Array(this.image.data.buffer);
    // The corner of a sprite without a frame has the colour of the paper.
    if (this.layout.label === 0) this.pixels.fill(this.sprites[0]![0]!);
    for (const cell of this.cells.values()) {
      cell.sprite = -1;
      this.draw(cell);
    }
    [this.top, this.bottom] = [0, height];
    this.flush();
  }

  /** Draws the entries that have changed. The set may have names that are not in the field. */
  update(changed: ReadonlySet<string>, entries: ReadonlyMap<string, Entry>): void {
    this.entries = entries;
    const now = performance.now();
    const calm = this.calm.matches; // To ask for each cell would take longer than to draw them.
    for (const name of changed) {
      const cell = this.cells.get(name);
      if (!cell) continue;
      const status = entries.get(name)?.status ?? Status.Unknown;
      if (status !== cell.status && !calm) {
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
    const sprite = spriteOf(cell.status, this.entries.get(cell.name)?.unconfirmed ?? false, cell.haloEnd > 0);
    if (sprite === cell.sprite) return;
    cell.sprite = sprite;
    const from = this.sprites[sprite]!;
    const { pixels, side } = this;
    const { width } = this.canvas;
    let at = cell.place;
    for (let i = 0; i < from.length; at += width - side) for (const end = i + side; i < end; ) pixels[at++] = from[i++]!;
    const row = Math.floor(cell.place / width);
    this.top = Math.min(this.top, row);
    this.bottom = Math.max(this.bottom, row + side);
  }

  /** Puts the rows that have changed on the canvas. */
  private flush(): void {
    if (this.image && this.bottom > this.top) this.context.putImageData(this.image, 0, 0, 0, this.top, this.canvas.width, this.bottom - this.top);
    [this.top, this.bottom] = [Infinity, 0];
  }

  /** Returns an image that has nothing but the labels of the groups. */
  private labelled(font: string, paper: string, ink: string): ImageData {
    const c = this.context;
    const { width, height } = this.canvas;
    c.fillStyle = paper;
    c.fillRect(0, 0, width, height);
    c.save();
    c.scale(this.scale, this.scale);
    c.font = `12px ${font}`;
    c.textBaseline = "middle";
    c.fillStyle = ink;
    for (const b of this.layout.blocks) {
      let text = visible(labelOf(b.group));
      while (text.length > 1 && c.measureText(text).width > b.width) text = `${text.slice(0, -2)}…`;
      c.fillText(text, b.x, b.y + this.layout.label / 2);
    }
    c.restore();
    return c.getImageData(0, 0, width, height);
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
    this.flush();
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

/** The pixels of each possible cell. A shape stands for a status, a hatch for unconfirmed, a frame for a change. */
const drawSprites = (size: number, side: number, colour: (name: string) => string): Uint32Array[] => {
  const sheet = document.createElement("canvas");
  sheet.width = side;
  sheet.height = side * kinds * 4;
  const c = sheet.getContext("2d", { alpha: false, willReadFrequently: true })!;
  c.fillStyle = colour("paper");
  c.fillRect(0, 0, sheet.width, sheet.height);
  const ink = colour("ink-soft");
  for (const unconfirmed of [false, true]) for (const halo of [false, true]) for (const s of statuses) {
    c.save();
    c.translate(0, side * spriteOf(s, unconfirmed, halo));
    c.scale(side / size, side / size);
    c.beginPath();
    c.rect(0, 0, size, size);
    c.clip();
    if (unconfirmed) drawHatch(c, size, ink);
    c.fillStyle = c.strokeStyle = colour(look[s].className);
    shapes[s]?.(c, size / 2, size / 2 - 1.5);
    if (halo) {
      c.strokeStyle = ink;
      c.lineWidth = 1;
      c.strokeRect(0.5, 0.5, size - 1, size - 1);
    }
    c.restore();
  }
  const all = new Uint32Array(c.getImageData(0, 0, sheet.width, sheet.height).data.buffer);
  return Array.from({ length: kinds * 4 }, (_, i) => all.subarray(i * side * side, (i + 1) * side * side));
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
