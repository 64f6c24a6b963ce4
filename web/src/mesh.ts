// What the page knows of the mesh: the entries of the coordinator, as its Watch sends them. The page
// computes no status. Everything here is pure apart from the fields of Mesh.
import type { HealthJson } from "./gen/meshhealth/v1/health_pb";
import { type Entry, entryOf, nameOf } from "./entry";

/** Changes of entries that belong together: one message of the Watch, or several of one moment. */
export interface Batch {
  /** All entries that the batch does not contain are gone: it is a complete snapshot. */
  readonly snapshot: boolean;
  readonly entries: readonly HealthJson[];
  readonly revision: number;
}

/** One entry before and after a batch. `before` is undefined for a new entry, `after` for a removed one. */
export interface Change {
  readonly name: string;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/** The current entries. Only apply changes them. */
export class Mesh {
  readonly entries = new Map<string, Entry>();
  /** The entries that are services, and those that are instances. */
  readonly services = new Map<string, Entry>();
  readonly instances = new Map<string, Entry>();
  /** The names of the instances of a service. */
  readonly instancesOf = new Map<string, Set<string>>();
  revision = 0;
  /** Differs after entries were added or removed. */
  structure = 0;

  /** Returns a mesh with the same entries, which later batches do not change. */
  copy(): Mesh {
    const m = new Mesh();
    for (const [name, e] of this.entries) {
      m.entries.set(name, e);
      m.ofKind(e)?.set(name, e);
    }
    for (const [service, names] of this.instancesOf) m.instancesOf.set(service, new Set(names));
    m.revision = this.revision;
    return m;
  }

  /** Applies a batch and returns what has changed. */
  apply(batch: Batch): Change[] {
    const changes: Change[] = [];
    const kept = batch.snapshot ? new Set<string>() : undefined;
    for (const h of batch.entries) {
      const name = nameOf(h.service ?? "", h.instance ?? "");
      kept?.add(name);
      this.set(name, entryOf(h), changes);
    }
    if (kept) for (const name of [...this.entries.keys()]) if (!kept.has(name)) this.set(name, undefined, changes);
    this.revision = batch.revision;
    return changes;
  }

  /** Adds an entry that comes from no batch, such as one of an earlier moment. */
  add(e: Entry): void {
    this.set(e.name, e, []);
  }

  private set(name: string, after: Entry | undefined, changes: Change[]): void {
    const before = this.entries.get(name);
    if (before === undefined && after === undefined) return;
    const entry = (after ?? before)!;
    for (const map of [this.entries, this.ofKind(entry)]) {
      if (after === undefined) map?.delete(name);
      else map?.set(name, after);
    }
    if (before === undefined || after === undefined) {
      this.structure++;
      if (entry.kind === "instance") this.setInstance(entry, after !== undefined);
    }
    changes.push({ name, before, after });
  }

  private ofKind(e: Entry): Map<string, Entry> | undefined {
    return e.kind === "instance" ? this.instances : e.kind === "service" ? this.services : undefined;
  }

  private setInstance({ service, name }: Entry, present: boolean): void {
    const names = this.instancesOf.get(service) ?? new Set();
    if (present) this.instancesOf.set(service, names.add(name));
    else if (names.delete(name) && names.size === 0) this.instancesOf.delete(service);
  }
}
