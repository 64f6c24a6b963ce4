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

/** The current entries. Only apply changes them. */
export class Mesh {
  readonly entries = new Map<string, Entry>();
  /** The entries that are services, and those that are instances. */
  readonly services = new Map<string, Entry>();
  readonly instances = new Map<string, Entry>();
  /** The zones of the mesh. */
  readonly zones = new Map<string, Entry>();
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

  /** Applies a batch and returns the names of the entries that it has changed, added or removed. */
  apply(batch: Batch): string[] {
    const changed: string[] = [];
    const kept = batch.snapshot ? new Set<string>() : undefined;
    for (const h of batch.entries) {
      const name = nameOf(h.service ?? "", h.instance ?? "");
      const before = this.entries.get(name);
      const after = entryOf(h, name, before);
      kept?.add(name);
      if (this.set(before, after)) changed.push((before ?? after)!.name);
    }
    if (kept) for (const e of [...this.entries.values()]) if (!kept.has(e.name) && this.set(e, undefined)) changed.push(e.name);
    this.revision = batch.revision;
    return changed;
  }

  /** Adds an entry that comes from no batch, such as one of an earlier moment. */
  add(e: Entry): void {
    this.set(this.entries.get(e.name), e);
  }

  private set(before: Entry | undefined, after: Entry | undefined): boolean {
    const entry = after ?? before;
    if (entry === undefined) return false;
    for (const map of [this.entries, this.ofKind(entry)]) {
      if (after === undefined) map?.delete(entry.name);
      else map?.set(entry.name, after);
    }
    if (before === undefined || after === undefined) {
      this.structure++;
      if (entry.kind === "instance") this.setInstance(entry, after !== undefined);
    }
    return true;
  }

  private ofKind(e: Entry): Map<string, Entry> | undefined {
    switch (e.kind) {
      case "instance": return this.instances;
      case "service": return this.services;
      case "mesh-zone": return this.zones;
      default: return undefined;
    }
  }

  private setInstance({ service, name }: Entry, present: boolean): void {
    const names = this.instancesOf.get(service) ?? new Set();
    if (present) this.instancesOf.set(service, names.add(name));
    else if (names.delete(name) && names.size === 0) this.instancesOf.delete(service);
  }
}
