// Time travel: reads the history back to the moment of the address, and shows the mesh as of then.
import { concerns, neighbour, type Past, pastOf } from "./history";
import { Journal, oldestRecord } from "./journal";
import type { Mesh } from "./mesh";
import { callErrorOf } from "./protocol";
import type { View } from "./route";
import { state } from "./state";
import { isChange, type Transition } from "./transition";
import { type Travel, travel, unread } from "./travel";

/** The most records that are read. */
const maxRecords = 100_000;
/** How many ms before the moment the records should reach. */
const marginBefore = 600_000;

/** The live mesh from before the records were read, and the records. */
let base: { readonly mesh: Mesh; readonly journal: Journal } | undefined;
let reading: AbortController | undefined;

/** Forgets what was read. */
export const leave = (): void => {
  reading?.abort();
  reading = base = undefined;
};

/** Reads the history back to a moment, and shows the mesh as of then. */
export const show = async (at: number): Promise<void> => {
  reading?.abort();
  const { signal: stop } = (reading = new AbortController());
  base ??= { mesh: state.mesh.copy(), journal: new Journal({ name: "", from: 0, to: 0 }) };
  const { mesh, journal } = base;
  const before: Travel = { ...unread(at), read: journal.records.length };
  travel.value = before;
  try {
    const past = await readPast(mesh, journal, at, stop, () => (travel.value = { ...before, read: journal.records.length }));
    if (stop.aborted || state.route.peek().at !== at) return;
    state.setPast(past.mesh);
    travel.value = {
      ...before, loading: false, read: journal.records.length, known: past.known, oldest: past.oldest, unsure: past.unsure, gaps: past.gaps,
      changes: journal.records.filter((t) => t.at === at && isChange(t)),
    };
  } catch (e) {
    if (!stop.aborted) travel.value = { ...before, loading: false, known: false, error: callErrorOf(e).message };
  }
};

/**
 * Returns the mesh as of a moment. It reads the journal, which is about everything and has no bounds, back to
 * one page before the moment: the records there say since when a status held.
 */
export const readPast = async (mesh: Mesh, journal: Journal, at: number, stop?: AbortSignal, progress?: () => void): Promise<Past & { oldest: number }> => {
  const oldest = await oldestRecord();
  const reached = (): boolean => oldest > at || (journal.records.at(-1)?.at ?? Infinity) <= at;
  await journal.read(maxRecords, reached, stop, progress);
  if (!reached() && !journal.done) throw new Error(`More than ${maxRecords} records lie between this moment and now; the page reads no more.`);
  if (oldest <= at && (journal.records.at(-1)?.at ?? 0) > at - marginBefore) await journal.read(Math.min(maxRecords, journal.records.length + 1), () => false, stop, progress);
  return { ...pastOf(mesh, journal.records, at, oldest), oldest };
};

const about = (view: View): ((t: Transition) => boolean) => {
  switch (view.page) {
    case "service":
    case "root": return (t) => concerns(t, view.service, "");
    case "instance": return (t) => concerns(t, view.service, view.instance);
    default: return () => true;
  }
};

/** Goes to the previous or the next moment with a record about what the view shows. */
export const step = async (direction: -1 | 1): Promise<void> => {
  const { at, view } = state.route.peek();
  if (at === 0 && direction > 0) return;
  if (at > 0 && base === undefined) return; // it is not read yet
  let journal = base?.journal ?? new Journal({ name: "", from: 0, to: 0 });
  const concerned = about(view);
  const next = (): number => neighbour(journal.records.filter(concerned), at === 0 ? Infinity : at, direction);
  let to = next();
  try {
    if (direction < 0) await journal.read(maxRecords, () => next() > 0);
    else if (to === 0) {
      // What was read ends here. Since then, more may have happened.
      journal = new Journal({ name: "", from: at, to: 0 });
      await journal.read(maxRecords, () => false);
      if (next() > 0) base = undefined;
    }
  } catch (e) {
    return state.say(callErrorOf(e).message);
  }
  to = next();
  if (to > 0) state.go({ at: to });
  else if (direction > 0) state.go({ at: 0 });
  else state.say("The history has no earlier record about this.");
};
