// What a screen reader hears: changes of the mesh and of the roots, at most one message each five seconds.
import { effect, signal } from "@preact/signals";
import { meshName } from "./entry";
import { rootsOf } from "./rank";
import { state } from "./state";
import { look } from "./words";

const every = 5000;

/** The latest message. */
export const announcements = signal("");

const sentence = (): string => {
  const m = state.shown.value.entries.get(meshName);
  if (!m) return "";
  const roots = rootsOf(state.shown.value).map((r) => r.entry.name);
  return `The mesh is ${look[m.status].word}. ${roots.length === 0 ? "" : `Roots: ${roots.slice(0, 3).join(", ")}.`}`;
};

let waiting = false;
let told = 0;
effect(() => {
  void state.pulse.value;
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    const text = sentence();
    if (text === announcements.peek()) return;
    told = performance.now();
    announcements.value = text;
  }, Math.max(500, told + every - performance.now()));
});
