// Paints the field in a worker of its own, so that the page has its time for people. Cells are copied as
// pixels into an image of the canvas: where no graphics processor helps, that is ten times faster than drawImage.
import { Status, statuses } from "./entry";
import { kinds, lookOf, looks } from "./cell";

/** The colours of the page as CSS has them. */
export interface Colours {
  readonly paper: string;
  readonly ink: string;
  /** By the index of the status in `statuses`. */
  readonly statuses: readonly string[];
}

/** A text over a group of cells. Places and sizes are CSS pixels. */
export interface Label {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

/** Everything that is painted anew when cells have moved or colours have changed. */
export interface Scene {
  readonly kind: "scene";
  /** The size of the canvas in device pixels, and the device pixels for each CSS pixel. */
  readonly width: number;
  readonly height: number;
  readonly scale: number;
  /** The distance between two cells in CSS pixels. */
  readonly cell: number;
  readonly colours: Colours;
  readonly font: string;
  readonly labels: readonly Label[];
  /** For each cell the place of its first pixel in the image, and its look. */
  readonly places: Uint32Array;
  readonly looks: Uint8Array;
}

/** Cells that look different now: their numbers in the scene, and their looks. */
export interface Changes {
  readonly kind: "changes";
  readonly cells: Uint32Array;
  readonly looks: Uint8Array;
  /** A person wants no motion: the cells get no frame. */
  readonly calm: boolean;
}

/** To the painter. The canvas comes first. The painter answers each scene with its number of cells. */
export type Order = Scene | Changes | { readonly kind: "canvas"; readonly canvas: OffscreenCanvas };

/** How long a changed cell has a frame around it, in ms. */
const haloFor = 1000;

type Context = OffscreenCanvasRenderingContext2D;

class Painter {
  private readonly context: Context;
  private scene: Scene | undefined;
  /** The image of the whole canvas, and the same as one number for each pixel. */
  private image = new ImageData(1, 1);
  private pixels = new Uint32Array(0);
  private sprites: readonly Uint32Array[] = [];
  /** The side of a cell in device pixels. */
  private side = 1;
  /** The rows of the image that are not yet on the canvas. */
  private top = Infinity;
  private bottom = 0;
  /** For each cell when its frame ends, or 0. */
  private haloEnds = new Float64Array(0);
  /** The ends of frames, the next one first. Only the last one of a cell counts. */
  private halos: { readonly cell: number; readonly end: number }[] = [];
  private haloTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly canvas: OffscreenCanvas) {
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true })!;
  }

  /** Paints everything anew. */
  show(scene: Scene): void {
    const { canvas } = this;
    const { width, height, scale, cell, colours, labels, looks } = scene;
    const before = this.scene;
    this.scene = scene;
    this.side = Math.floor(cell * scale);
    if (before?.cell !== cell || before.scale !== scale || JSON.stringify(before.colours) !== JSON.stringify(colours)) this.sprites = drawSprites(cell, this.side, colours);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    if (labels.length > 0) this.image = this.labelled(scene);
    else if (this.image.width !== width || this.image.height !== height) this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    // The corner of a sprite without a frame has the colour of the paper.
    if (labels.length === 0) this.pixels.fill(this.sprites[0]![0]!);
    this.haloEnds = new Float64Array(looks.length);
    this.halos = [];
    for (let i = 0; i < looks.length; i++) this.draw(i);
    [this.top, this.bottom] = [0, height];
    this.flush();
  }

  /** Paints the cells that have changed. A cell whose status is another one gets a frame for a while. */
  change({ cells, looks, calm }: Changes): void {
    if (!this.scene) return;
    const { looks: known } = this.scene;
    const now = performance.now();
    const end = now + haloFor;
    cells.forEach((cell, n) => {
      const look = looks[n]!;
      if (look % kinds !== known[cell]! % kinds && !calm) {
        this.haloEnds[cell] = end;
        this.halos.push({ cell, end });
      }
      known[cell] = look;
      this.draw(cell);
    });
    this.endHalos(now);
  }

  private draw(i: number): void {
    const { looks: known, places, width } = this.scene!;
    const from = this.sprites[known[i]! + (this.haloEnds[i]! > 0 ? looks : 0)]!;
    const { pixels, side } = this;
    let at = places[i]!;
    const row = Math.floor(at / width);
    for (let i = 0; i < from.length; at += width - side) for (const end = i + side; i < end; ) pixels[at++] = from[i++]!;
    this.top = Math.min(this.top, row);
    this.bottom = Math.max(this.bottom, row + side);
  }

  /** Puts the rows that have changed on the canvas. */
  private flush(): void {
    if (this.bottom > this.top) this.context.putImageData(this.image, 0, 0, 0, this.top, this.canvas.width, this.bottom - this.top);
    [this.top, this.bottom] = [Infinity, 0];
  }

  /** Returns an image that has nothing but the labels of the groups. */
  private labelled({ width, height, scale, font, colours, labels }: Scene): ImageData {
    const c = this.context;
    c.fillStyle = colours.paper;
    c.fillRect(0, 0, width, height);
    c.save();
    c.scale(scale, scale);
    c.font = `12px ${font}`;
    c.textBaseline = "middle";
    c.fillStyle = colours.ink;
    for (const l of labels) {
      let { text } = l;
      while (text.length > 1 && c.measureText(text).width > l.width) text = `${text.slice(0, -2)}…`;
      c.fillText(text, l.x, l.y);
    }
    c.restore();
    return c.getImageData(0, 0, width, height);
  }

  private endHalos(now: number): void {
    let ended = 0;
    for (const { cell, end } of this.halos) {
      if (end > now) break;
      ended++;
      if (this.haloEnds[cell] !== end) continue;
      this.haloEnds[cell] = 0;
      this.draw(cell);
    }
    this.halos.splice(0, ended);
    this.flush();
    clearTimeout(this.haloTimer);
    if (this.halos.length > 0) this.haloTimer = setTimeout(() => this.endHalos(performance.now()), this.halos[0]!.end - now + 50);
  }
}

/** The pixels of each possible cell. A shape stands for a status, a hatch for unconfirmed, a frame for a change. */
const drawSprites = (size: number, side: number, colours: Colours): Uint32Array[] => {
  const c = new OffscreenCanvas(side, side * looks * 2).getContext("2d", { alpha: false, willReadFrequently: true })!;
  c.fillStyle = colours.paper;
  c.fillRect(0, 0, c.canvas.width, c.canvas.height);
  for (const unconfirmed of [false, true]) for (const halo of [false, true]) for (const s of statuses) {
    c.save();
    c.translate(0, side * (lookOf({ status: s, unconfirmed }) + (halo ? looks : 0)));
    c.scale(side / size, side / size);
    c.beginPath();
    c.rect(0, 0, size, size);
    c.clip();
    if (unconfirmed) drawHatch(c, size, colours.ink);
    c.fillStyle = c.strokeStyle = colours.statuses[statuses.indexOf(s)]!;
    shapes[s]?.(c, size / 2, size / 2 - 1.5);
    if (halo) {
      c.strokeStyle = colours.ink;
      c.lineWidth = 1;
      c.strokeRect(0.5, 0.5, size - 1, size - 1);
    }
    c.restore();
  }
  const all = new Uint32Array(c.getImageData(0, 0, c.canvas.width, c.canvas.height).data.buffer);
  return Array.from({ length: looks * 2 }, (_, i) => all.subarray(i * side * side, (i + 1) * side * side));
};

const drawHatch = (c: Context, size: number, ink: string): void => {
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

type Shape = (c: Context, middle: number, r: number) => void;

const polygon = (c: Context, how: "fill" | "stroke", points: readonly (readonly [number, number])[]): void => {
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
    c.lineWidth = Math.max(2.5, r * 0.6);
    const arm = r - c.lineWidth / 3; // The corners of the ends are not outside the square of the other shapes.
    c.beginPath();
    for (const d of [arm, -arm]) {
      c.moveTo(m - arm, m - d);
      c.lineTo(m + arm, m + d);
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

let painter: Painter | undefined;

onmessage = ({ data }: MessageEvent<Order>) => {
  switch (data.kind) {
    case "canvas": return void (painter = new Painter(data.canvas));
    case "scene":
      painter?.show(data);
      return postMessage(data.looks.length);
    case "changes": return painter?.change(data);
  }
};
