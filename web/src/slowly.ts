import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { state } from "./state";
import { inSlices, whole, type Work } from "./work";

interface Computed<T> {
  readonly value: T;
  readonly keys: readonly unknown[];
  readonly at: number;
  /** The frame after which it was computed. */
  readonly tick: number;
}

/**
 * Computes a value of the mesh at once if one of `keys` has changed. Otherwise it is computed in slices,
 * at most once in each `period` ms, and once more after the last change. While `held` is true it stays
 * as it is.
 */
export const useSlowly = <T>(period: number, keys: readonly unknown[], held: () => boolean, work: () => Work<T>): T => {
  const last = useRef<Computed<T>>(undefined);
  const stop = useRef<() => void>(undefined);
  const again = useSignal(0);
  void again.value;
  // A component whose properties are the same is not made again with its parent, so it needs its own signal.
  void state.pulse.value;
  const tick = state.tick.peek();
  if (last.current?.keys.some((k, i) => k !== keys[i]) ?? true) {
    stop.current?.();
    stop.current = undefined;
    last.current = { value: whole(work()), keys, at: performance.now(), tick };
  }
  const { value, at, tick: known } = last.current!;
  useEffect(() => {
    if (known === tick || stop.current) return;
    const done = (value: T): void => {
      stop.current = undefined;
      if (!held()) last.current = { value, keys, at: performance.now(), tick };
      again.value++;
    };
    const begin = (): void => {
      if (held()) again.value++;
      else stop.current = inSlices(work(), done);
    };
    const timer = setTimeout(begin, Math.max(period / 10, at + period - performance.now()));
    return () => clearTimeout(timer);
  });
  useEffect(() => () => stop.current?.(), []);
  return value;
};
