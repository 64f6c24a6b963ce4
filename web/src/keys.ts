// The keys of the page. Each view adds its own while it is shown.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { keep, kept } from "./kept";

/** One key with what it does. `g h` stands for two keys, one after the other. */
export interface Binding {
  readonly key: string;
  readonly does: string;
  run(): void;
}

/** All bindings in force. Of two with the same key the later one holds. */
export const bindings = signal<readonly Binding[]>([]);

/** Keys with one letter can be switched off, because speech input may press them. Named keys stay. */
export const letterKeys = signal(kept("keys") !== "off");
export const setLetterKeys = (on: boolean): void => {
  letterKeys.value = on;
  keep("keys", on ? "on" : "off");
};

/** Adds bindings while the component is mounted. They may read the latest values of the component. */
export const useKeys = (own: readonly Binding[]): void => {
  const shape = own.map((b) => b.key).join("\n");
  const latest = useLatest(own);
  useEffect(() => {
    const added = own.map((b, i) => ({ key: b.key, does: b.does, run: () => latest.current[i]?.run() }));
    bindings.value = [...bindings.peek(), ...added];
    return () => {
      bindings.value = bindings.peek().filter((b) => !added.includes(b));
    };
  }, [shape]);
};

const useLatest = <T>(value: T): { current: T } => {
  const ref = useRef(value);
  ref.current = value;
  return ref;
};

const typing = (e: KeyboardEvent): boolean =>
  e.target instanceof HTMLElement && e.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

/** These elements use the keys themselves. */
const ownsKey = (e: KeyboardEvent): boolean =>
  (e.key === "Enter" || e.key === " ") && e.target instanceof HTMLElement && e.target.closest("a, button, summary, input, dialog") !== null;

let prefix = "";

const pressed = (e: KeyboardEvent): void => {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || ownsKey(e)) return;
  if (typing(e) && e.key !== "Escape") return;
  if (e.key.length === 1 && !letterKeys.peek()) return;
  const all = bindings.peek();
  const name = prefix === "" ? e.key : `${prefix} ${e.key}`;
  prefix = "";
  const found = all.findLast((b) => b.key === name);
  if (found) {
    e.preventDefault();
    found.run();
  } else if (all.some((b) => b.key.startsWith(`${name} `))) {
    prefix = name;
  }
};

/** Starts to listen. */
export const listenToKeys = (): void => window.addEventListener("keydown", pressed);
