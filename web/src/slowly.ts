// How components follow the entries of the mesh.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { state } from "./state";
import { inSlices, whole, type Work } from "./work";

/** Makes a component again when the entries have changed, at most once in `period` ms. */
export const useTurn = (period = 0): void => {
  const turn = useSignal(0);
  const seen = state.changes();
  useEffect(() => state.onTurn(() => void turn.value++, period, seen), []);
  void turn.value;
};

/** After this time it is seen whether a value is still held, in ms. */
const heldAgain = 250;

/**
 * Computes a value of the mesh at once if one of `keys` has changed. Otherwise it is computed in slices
 * after the entries have changed, at most once in each `period` ms. While `held` is true it stays as it is.
 */
export const useSlowly = <T>(period: number, keys: readonly unknown[], held: () => boolean, work: () => Work<T>): T => {
  const last = useRef<{ readonly value: T; readonly keys: readonly unknown[] }>(undefined);
  const latest = useRef({ held, work });
  latest.current = { held, work };
  const stop = useRef<() => void>(undefined);
  const again = useSignal(0);
  void again.value;
  const seen = state.changes();
  if (last.current?.keys.some((k, i) => k !== keys[i]) ?? true) {
    stop.current?.();
    stop.current = undefined;
    last.current = { value: whole(work()), keys };
  }
  useEffect(() => {
    let retry: ReturnType<typeof setTimeout> | undefined;
    const begin = (): void => {
      clearTimeout(retry);
      stop.current?.();
      stop.current = undefined;
      if (latest.current.held()) retry = setTimeout(begin, heldAgain);
      else stop.current = inSlices(latest.current.work(), done);
    };
    const done = (value: T): void => {
      stop.current = undefined;
      if (latest.current.held()) return begin();
      last.current = { value, keys: last.current!.keys };
      again.value++;
    };
    const end = state.onTurn(begin, period, seen);
    return () => {
      end();
      clearTimeout(retry);
      stop.current?.();
    };
  }, []);
  return last.current!.value;
};
