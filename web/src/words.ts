// The words and marks of the page. Words about a cause come from the coordinator and are not here.
import { type Entry, Status } from "./entry";

/** How a status looks. A higher rank is worse. */
export interface Look {
  readonly glyph: string;
  readonly word: string;
  readonly className: string;
  readonly rank: number;
}

/** The glyphs, names and ranks are those of the command line. */
export const look: Record<Status, Look> = {
  [Status.NotServing]: { glyph: "✖", word: "NOT_SERVING", className: "not-serving", rank: 6 },
  [Status.Unknown]: { glyph: "?", word: "UNKNOWN", className: "unknown", rank: 5 },
  [Status.ServiceUnknown]: { glyph: "?", word: "SERVICE_UNKNOWN", className: "unknown", rank: 5 },
  [Status.Starting]: { glyph: "◔", word: "STARTING", className: "starting", rank: 4 },
  [Status.Draining]: { glyph: "▽", word: "DRAINING", className: "draining", rank: 3 },
  [Status.Maintenance]: { glyph: "■", word: "MAINTENANCE", className: "maintenance", rank: 3 },
  [Status.Degraded]: { glyph: "▲", word: "DEGRADED", className: "degraded", rank: 2 },
  [Status.Serving]: { glyph: "●", word: "SERVING", className: "serving", rank: 1 },
};

/** The statuses that need an explanation. */
export const inTrouble = (s: Status): boolean => s === Status.Degraded || s === Status.NotServing || s === Status.Unknown;

const units: readonly [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];

/** A length of time with at most two units, such as `2m14s` or `6d4h`. Less than a second is `0s`. */
export const age = (ms: number): string => {
  const first = units.findIndex(([, size]) => ms >= size);
  if (first < 0) return "0s";
  const [unit, size] = units[first]!;
  const head = `${Math.floor(ms / size)}${unit}`;
  const next = units[first + 1];
  const rest = next ? Math.floor((ms % size) / next[1]) : 0;
  return rest === 0 ? head : `${head}${rest}${next![0]}`;
};

const two = (n: number): string => String(n).padStart(2, "0");

/** The local time of day, such as `12:04:31`. */
export const clockTime = (ms: number): string => {
  const t = new Date(ms);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
};

/** The local date and time, such as `2026-03-02 12:04:31`. */
export const dateTime = (ms: number): string => {
  const t = new Date(ms);
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clockTime(ms)}`;
};

const grouped = /* @__PURE__ */ new Intl.NumberFormat("en");
/** A number with separators, such as `10,000`. */
export const number = (n: number): string => grouped.format(n);

/** A number with its noun, such as `1 service` or `2,000 services`. */
export const plural = (n: number, noun: string, many = `${noun}s`): string => `${number(n)} ${n === 1 ? noun : many}`;

/** What the name of an entry stands for, such as `the mesh`. */
export const titleOf = (e: { readonly kind: Entry["kind"]; readonly name: string; readonly instance: string; readonly service: string }): string => {
  switch (e.kind) {
    case "coordinator": return "the coordinator";
    case "mesh": return "the mesh";
    case "mesh-zone": return `zone ${e.instance}`;
    case "service-zone": return `${e.service} in zone ${e.instance.slice(1)}`;
    default: return e.name;
  }
};

/** Why an entry has its status: the reason of the coordinator, or else its cause. */
export const whyOf = (e: Entry): string => e.reason || e.cause;

/** Shows control and bidi characters, which could otherwise rearrange the text around them. */
export const visible = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => (c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "\ufffd")).replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
