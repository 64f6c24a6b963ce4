import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { state } from "./state";

interface Computed<T> {
  readonly value: T;
  readonly keys: readonly unknown[];
  readonly at: number;
  /** The frame after which it was computed. */
  readonly tick: number;
}

/**
 * Computes a value of the mesh at once if one of `keys` has changed, and otherwise at most once in each
 * `period` ms. After the last change it is computed once more. While `held` is true it stays as it is.
 */
export const useSlowly = <T>(period: number, keys: readonly unknown[], held: () => boolean, compute: () => T): T => {
  const last = useRef<Computed<T>>(undefined);
  const again = useSignal(0);
  void again.value;
  // A component whose properties are the same is not made again with its parent, so it needs its own signal.
  void state.pulse.value;
  const now = performance.now();
  const tick = state.tick.peek();
  let c = last.current;
  const other = !c || c.keys.some((k, i) => k !== keys[i]);
  if (!c || other || (c.tick !== tick && now - c.at >= period && !held())) c = last.current = { value: compute(), keys, at: now, tick };
  const stale = c.tick !== tick;
  useEffect(() => {
    if (!stale) return;
    const timer = setTimeout(() => again.value++, period);
    return () => clearTimeout(timer);
  });
  return c.value;
};
