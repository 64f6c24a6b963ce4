// Reads the history of the coordinator, page by page.
import type { ListTransitionsRequestJson, ListTransitionsResponseJson } from "./gen/meshhealth/v1/admin_pb";
import { state } from "./state";
import { type Transition, transitionOf } from "./transition";

/** What to read. Times are milliseconds since 1970, and 0 means no bound. */
export interface Range {
  /** A service with its instances, `service/instance`, or empty for everything. */
  readonly name: string;
  /** The first moment. */
  readonly from: number;
  /** The moment after the last one. */
  readonly to: number;
}

/** The most records of one call. */
const pageSize = 1000;

/** One growing list of records, newest first. */
export class Journal {
  readonly records: Transition[] = [];
  /** All records of the range have been read. */
  done = false;
  private token = "";

  constructor(private readonly range: Range) {}

  /** Reads one more page. It rejects with CallError. */
  async more(signal?: AbortSignal): Promise<void> {
    const { name, from, to } = this.range;
    const request: ListTransitionsRequestJson = {
      name, pageSize, pageToken: this.token,
      ...(from > 0 && { from: new Date(from).toISOString() }),
      ...(to > 0 && { to: new Date(to).toISOString() }),
    };
    const page = await state.call<ListTransitionsRequestJson, ListTransitionsResponseJson>("AdminService/ListTransitions", request, signal);
    for (const t of page.transitions ?? []) this.records.push(transitionOf(t));
    this.token = page.nextPageToken ?? "";
    this.done = this.token === "";
  }

  /** Reads pages until there are `most` records, all are read, or `enough` says so. */
  async read(most: number, enough: () => boolean, signal?: AbortSignal, progress?: () => void): Promise<void> {
    while (!this.done && this.records.length < most && !enough()) {
      await this.more(signal);
      progress?.();
    }
  }
}

let oldestRead = -Infinity;
let oldest: Promise<number> | undefined;

/** The time of the oldest record of the whole history, or Infinity if there is none. It is read at most once a minute. */
export const oldestRecord = (): Promise<number> => {
  if (oldest === undefined || performance.now() - oldestRead > 60_000) {
    oldestRead = performance.now();
    oldest = state
      .call<ListTransitionsRequestJson, ListTransitionsResponseJson>("AdminService/ListTransitions", { pageSize: 1, oldestFirst: true })
      .then((page) => (page.transitions?.[0] === undefined ? Infinity : transitionOf(page.transitions[0]).at));
    oldest.catch(() => (oldest = undefined));
  }
  return oldest;
};
