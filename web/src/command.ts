// The command line that prints in a terminal what a view shows. Everything here is pure.
import { meshName, nameOf } from "./entry";
import { commands } from "./gen/commands";
import type { Route } from "./route";

type Commands = typeof commands;

/** A command line, and what of the view it cannot say. */
export interface Command {
  readonly line: string;
  /** What the command line leaves out, such as `the filter`. */
  readonly without: readonly string[];
}

/** Writes a word so that a shell does not change it. */
export const quoted = (word: string): string => (/^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** Writes the command line of a command with arguments and flags. The type of the flags follows from the command. */
const line = <C extends keyof Commands>(command: C, args: readonly string[] = [], flags: Partial<Record<Commands[C][number], string>> = {}): string => {
  const words = ["meshhealth", command as string];
  for (const [flag, value] of Object.entries(flags)) words.push(`--${flag}`, quoted(value as string));
  if (args.some((a) => a.startsWith("-"))) words.push("--");
  return [...words, ...args.map(quoted)].join(" ");
};

/** Returns the service of a filter that says nothing else, or an empty text. */
const onlyService = (q: string): string => /^service=([^,"|]+)$/.exec(q)?.[1] ?? "";

/** Returns the command line of a view. The command status has no filter beside --group-by, and no earlier moments. */
export const commandOf = (r: Route): Command => {
  const without: string[] = [];
  const service = onlyService(r.q);
  const filters = r.view.page === "history" ? service !== "" : r.view.page === "now" && groupOf(r) === "";
  if (r.q !== "" && !filters) without.push("the filter");
  if (r.at > 0 && r.view.page !== "history") without.push("the moment");
  return { line: lineOf(r, service), without };
};

/** Returns the field by which the page of Now groups, or an empty text for the usual one. */
const groupOf = (r: Route): string => (r.group === "service" ? "" : r.group);

const timeOf = (ms: number): string => new Date(ms).toISOString();

const lineOf = (r: Route, service: string): string => {
  const v = r.view;
  switch (v.page) {
    case "now":
      if (groupOf(r) !== "") return line("status", [], { "group-by": groupOf(r) });
      return service === "" && r.q !== "" ? line("status", [], { where: r.q }) : line("status", service === "" ? [] : [service]);
    case "service": return line("status", [v.service]);
    case "instance": return line("explain", [nameOf(v.service, v.instance)]);
    case "root": return line("explain", [v.service]);
    case "history": return line("history", r.selected !== "" ? [r.selected] : service === "" ? [] : [service], {
      limit: "1000", ...(r.from > 0 && { from: timeOf(r.from) }), ...(r.to > 0 && { to: timeOf(r.to + 1) }),
    });
    case "maintenance": return line("override list");
    case "coordinator": return line("coordinator state");
    case "missing": return line("status");
  }
};

/** The command line that explains a name. */
export const explainLine = (name: string): string => line("explain", [name === "" ? meshName : name]);

/** The command line that ends an override. */
export const clearLine = (scope: string, maintenance: boolean): string => (maintenance ? line("maintenance off", [scope]) : line("override clear", [scope]));
