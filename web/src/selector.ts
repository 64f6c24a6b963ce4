// The filter: conditions with commas between them, which must all match. The command line has the same
// grammar (internal/selector), and testdata/selectors.json has cases for both.
import type { CauseJson } from "./gen/meshhealth/v1/status_pb";
import { type Entry, meshName, Status, statuses } from "./entry";
import { look } from "./words";

/** A filter that was read. If `error` is not empty, `matches` is true for everything. */
export interface Selector {
  readonly matches: (e: Entry) => boolean;
  readonly error: string;
}

/** One condition. Two conditions with the same key and different values cannot both match. */
interface Condition {
  readonly test: (e: Entry) => boolean;
  /** What is compared, or empty if several values can match one entry. */
  readonly key: string;
  readonly value: string;
}

class SelectorError extends Error {}

const maxConditions = 64;
const allowed =
  "service=S, zone=Z, label.KEY=VALUE, version=V, status=A|B, cause=C, root=S, unconfirmed, or a part of a name; ! before a condition negates it; a value with a comma stands in double quotes";

/** Reads a filter. A filter of spaces only matches every entry. */
export const parseSelector = (text: string): Selector => {
  const everything = { matches: () => true, error: "" };
  if (text.trim() === "") return everything;
  try {
    const conditions = conditionsOf(text);
    return { matches: (e) => conditions.every((c) => c.test(e)), error: "" };
  } catch (e) {
    if (e instanceof SelectorError) return { ...everything, error: e.message };
    throw e;
  }
};

const conditionsOf = (text: string): Condition[] => {
  const parts = split(text);
  if (parts.length > maxConditions) throw new SelectorError(`has ${parts.length} conditions; allowed: ${maxConditions}`);
  const conditions: Condition[] = [];
  for (const part of parts) {
    const c = parseCondition(part);
    if (c.key !== "" && conditions.some((o) => o.key === c.key && o.value !== c.value)) {
      throw refusal(part, "is there twice with different values, so that nothing can match", "one value");
    }
    conditions.push(c);
  }
  return conditions;
};

const refusal = (part: string, wrong: string, right: string): SelectorError => new SelectorError(`condition ${JSON.stringify(part)}: ${wrong}; allowed: ${right}`);

const parseCondition = (part: string): Condition => {
  if (!part.startsWith("!")) return positive(part, part);
  const { test } = positive(part.slice(1).trimStart(), part);
  return { test: (e) => !test(e), key: "", value: "" };
};

const positive = (text: string, part: string): Condition => {
  const cut = text.indexOf("=");
  if (cut < 0) return word(text, part);
  const key = text.slice(0, cut);
  const value = unquoted(text.slice(cut + 1));
  if (key.startsWith("label.")) {
    const label = key.slice("label.".length);
    if (label === "") throw refusal(part, "is a label without a key", "label.KEY=VALUE");
    return { test: (e) => Object.hasOwn(e.labels, label) && e.labels[label] === value, key, value };
  }
  if (key !== "status" && !Object.hasOwn(fields, key)) throw refusal(part, "is unknown", allowed);
  if (value === "") throw refusal(part, "is without a value", `${key}=VALUE`);
  if (key === "status") return { test: statusTest(value, part), key: "", value };
  if (key === "cause" && !Object.hasOwn(causes, value)) throw refusal(part, "is no cause", Object.keys(causes).join(", "));
  const field = fields[key]!;
  return { test: (e) => field(e) === value, key, value };
};

const fields: Record<string, (e: Entry) => string> = {
  service: (e) => e.service, zone: zoneOf, version: (e) => e.version, cause: (e) => e.cause, root: (e) => e.root,
};

/** The zone of an instance, or the zone that an aggregate stands for. */
function zoneOf(e: Entry): string {
  if (e.service === meshName) return e.instance;
  return e.instance.startsWith("@") ? e.instance.slice(1) : e.zone;
}

const word = (text: string, part: string): Condition => {
  if (text === "") throw refusal(part, "is empty", allowed);
  return { test: text === "unconfirmed" ? (e) => e.unconfirmed : (e) => e.name.includes(text), key: "", value: "" };
};

const statusTest = (value: string, part: string): ((e: Entry) => boolean) => {
  const wanted = value.split("|").map((name) => statuses.find((s) => look[s].word === name.trim().toUpperCase()));
  if (wanted.includes(undefined)) {
    throw refusal(part, "is no status", `${statuses.map((s: Status) => look[s].word).join(", ")}, or several with | between`);
  }
  return (e) => wanted.includes(e.status);
};

type CauseName<C> = C extends `CAUSE_${infer Name}` ? Lowercase<Name> : never;
/** Every cause, so that a wrong one is an error. */
const causes: Record<Exclude<CauseName<CauseJson>, "unknown">, true> = {
  ok: true, warned: true, failed: true, timeout: true, panic: true, stale: true, blocked: true, refused: true, unreachable: true, tls: true,
  unauthenticated: true, unimplemented: true, unknown_name: true, lease_expired: true, draining: true, maintenance: true, forced: true,
  flapping: true, guarded: true, unconfirmed: true, starting: true, quota: true, malformed: true,
};

/** Splits at commas that are not in quotes. Quotes begin right after an equals sign, as in a scope. */
const split = (text: string): string[] => {
  const parts: string[] = [];
  for (;;) {
    const equals = text.indexOf("=");
    let end = text.indexOf(",");
    if (equals >= 0 && (end < 0 || equals < end) && text[equals + 1] === '"') {
      const close = closed(text, equals + 2);
      if (close < 0) throw refusal(text.trim(), "is a value whose quotes are not closed", 'KEY="VALUE"');
      const after = text.slice(close).trimStart();
      if (after !== "" && after[0] !== ",") throw refusal(text.trim(), "is a value with text after its quotes", 'KEY="VALUE"');
      end = text.length - after.length;
    }
    if (end < 0 || end === text.length) return [...parts, text.trim()];
    parts.push(text.slice(0, end).trim());
    text = text.slice(end + 1);
  }
};

/** Returns the place after the closing quote, or -1. A quote in a value is written twice. */
const closed = (text: string, from: number): number => {
  for (let i = from; i < text.length; i++) {
    if (text[i] !== '"') continue;
    if (text[i + 1] !== '"') return i + 1;
    i++;
  }
  return -1;
};

const unquoted = (value: string): string =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value;

/** Writes a value so that parseSelector reads it again. */
export const quoted = (value: string): string =>
  /[,"]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
