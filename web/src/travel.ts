// The moment that the page shows. What reads the history is loaded with the first earlier moment.
import { effect, signal, untracked } from "@preact/signals";
import { state } from "./state";
import type { Transition } from "./transition";

/** What is known about the moment that is shown. */
export interface Travel {
  readonly at: number;
  readonly loading: boolean;
  /** The number of records that have been read. */
  readonly read: number;
  /** The moment is not before the oldest record. */
  readonly known: boolean;
  /** The time of the oldest record, if it has been read, or 0. */
  readonly oldest: number;
  /** The number of entries whose status is not certain. */
  readonly unsure: number;
  readonly gaps: readonly Transition[];
  /** The changes at exactly this moment. */
  readonly changes: readonly Transition[];
  readonly error: string;
}

/** A moment of which nothing was read yet. */
export const unread = (at: number): Travel => ({ at, loading: true, read: 0, known: true, oldest: 0, unsure: 0, gaps: [], changes: [], error: "" });

/** Undefined while the page is live. Only past.ts and this file change it. */
export const travel = signal<Travel | undefined>(undefined);

const past = async (at: number): Promise<typeof import("./past")> => {
  try {
    return (await import("./pages")).past;
  } catch (e) {
    travel.value = { ...unread(at), loading: false, known: false, error: "A part of the page could not be loaded." };
    throw e;
  }
};

/** Follows the moment of the address. */
export const startTravel = (): void => {
  effect(() => {
    const { at } = state.route.value;
    // Without the first snapshot there is nothing from which records could be undone.
    const ready = state.connection.value.state === "live" || state.connection.value.state === "old-build";
    untracked(() => {
      if (at === 0 && travel.peek() !== undefined) {
        travel.value = undefined;
        state.setPast(undefined);
        void past(at).then((m) => m.leave());
      } else if (at > 0 && ready && travel.peek()?.at !== at) {
        travel.value = { ...unread(at), read: travel.peek()?.read ?? 0 };
        void past(at).then((m) => m.show(at));
      }
    });
  });
};

/** Goes to the previous or the next moment with a record about what the view shows. */
export const step = (direction: -1 | 1): Promise<void> => past(state.route.peek().at).then((m) => m.step(direction));

/** Reports whether the view shows the mesh of an earlier moment. Views about the coordinator and its records do not. */
export const needsPast = (): boolean => {
  const { at, view } = state.route.value;
  return at > 0 && (view.page === "now" || view.page === "service" || view.page === "instance" || view.page === "root");
};

/** Reports whether the mesh of the moment can be shown. */
export const canShowPast = (): boolean => {
  const t = travel.value;
  return t !== undefined && t.at === state.route.value.at && !t.loading && t.known && t.error === "";
};
