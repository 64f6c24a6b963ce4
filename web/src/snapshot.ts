// Joins the messages of a Watch to batches: the parts of a snapshot belong together.
import type { HealthJson, WatchResponseJson } from "./gen/meshhealth/v1/health_pb";
import type { Batch } from "./mesh";

/** Turns messages to batches. The first snapshot is shown while it arrives, each later one when it is complete. */
export class Assembler {
  /** The entries of a snapshot that is not complete. */
  pending: HealthJson[] = [];
  private started = false;
  private arriving = true;

  /** `first` says that the message is the first one of a stream. */
  add(m: WatchResponseJson, first: boolean): Batch | undefined {
    if (first) {
      this.pending = [];
      this.arriving = !this.started;
    }
    this.started = true;
    const entries = m.entries ?? [];
    const revision = Number(m.revision ?? 0);
    if (!m.snapshot) return entries.length > 0 ? { snapshot: false, entries, revision } : undefined;
    if (this.arriving) {
      this.arriving = !m.snapshotEnd;
      return { snapshot: false, entries, revision };
    }
    this.pending.push(...entries);
    if (!m.snapshotEnd) return undefined;
    const all = this.pending;
    this.pending = [];
    return { snapshot: true, entries: all, revision };
  }

  /** True while the first snapshot arrives. */
  get incomplete(): boolean {
    return this.arriving;
  }
}
