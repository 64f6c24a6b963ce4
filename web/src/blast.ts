// Which services a failing service affects, and the direct neighbours of a service. Everything here is pure.
import { type Entry, Status } from "./entry";
import type { Edge } from "./layout";
import type { Mesh } from "./mesh";

/** A part of the graph of services. */
export interface Graph {
  /** The most important names first. */
  readonly names: readonly string[];
  readonly edges: readonly Edge[];
}

/** Returns a service with the services that it needs and the services that need it. */
export const neighboursOf = (mesh: Mesh, service: string): Graph => {
  const names = [service];
  const edges: Edge[] = [];
  for (const d of mesh.entries.get(service)?.dependencies ?? []) {
    names.push(d.service);
    edges.push({ from: d.service, to: service, soft: d.soft });
  }
  for (const e of mesh.services.values()) {
    const d = e.dependencies.find((one) => one.service === service);
    if (d === undefined || e.name === service) continue;
    names.push(e.name);
    edges.push({ from: service, to: e.name, soft: d.soft });
  }
  return { names, edges };
};

/** The services that a failing service affects. */
export interface Blast extends Graph {
  /** The root and the services in trouble because of it, in the order in which they failed. */
  readonly affected: readonly Entry[];
  /** The root is well, so that the graph has what would be affected. */
  readonly potential: boolean;
}

/**
 * Returns what a root affects: the services whose root it is, and the services on the ways to them. For a
 * mesh of the past these are the services that were in trouble and need the root, because the history does not
 * contain roots. If the root is well, it returns all services that need it, directly or not.
 */
export const blastOf = (mesh: Mesh, root: string, past: boolean): Blast => {
  const needers = new Map<string, { readonly name: string; readonly soft: boolean }[]>();
  for (const e of mesh.services.values()) {
    for (const d of e.dependencies) needers.set(d.service, [...(needers.get(d.service) ?? []), { name: e.name, soft: d.soft }]);
  }
  const cause = mesh.entries.get(root);
  const unwell = (e: Entry | undefined): boolean => e !== undefined && e.status !== Status.Serving;
  const potential = !unwell(cause);
  const hit = (e: Entry | undefined): boolean => potential || (past ? unwell(e) : e?.root === root);
  const reached = new Set([root]);
  const edges: Edge[] = [];
  for (const name of reached) {
    for (const n of needers.get(name) ?? []) {
      if (!hit(mesh.entries.get(n.name)) || (potential && n.soft)) continue;
      edges.push({ from: name, to: n.name, soft: n.soft });
      reached.add(n.name);
    }
  }
  // The coordinator names the root of a service whose dependencies may not be visible.
  for (const e of mesh.services.values()) {
    if (potential || e.root !== root || reached.has(e.name)) continue;
    reached.add(e.name);
    edges.push({ from: root, to: e.name, soft: true });
  }
  const affected = [...reached].map((n) => mesh.entries.get(n)).filter((e) => e !== undefined).sort((a, b) => failedAt(a) - failedAt(b) || (a.name < b.name ? -1 : 1));
  return { names: [root, ...affected.map((e) => e.name).filter((n) => n !== root)], edges, affected, potential };
};

/** When the trouble of an entry began. Unknown times come last. */
export const failedAt = (e: Entry): number => e.firstFailure || (e.status === Status.Serving ? Infinity : e.since || Infinity);
