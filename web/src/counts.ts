// Numbers of instances by status, as the coordinator counts them.
import { type Entry, Status, statuses } from "./entry";
import type { CountsJson } from "./gen/meshhealth/v1/health_pb";
import type { Mesh } from "./mesh";

/** The number with one status. For the mesh and its zones these are services, for a service instances. */
export const countOf = (c: CountsJson | undefined, s: Status): number => {
  switch (s) {
    case Status.Serving: return c?.serving ?? 0;
    case Status.Degraded: return c?.degraded ?? 0;
    case Status.NotServing: return c?.notServing ?? 0;
    case Status.Unknown: return c?.unknown ?? 0;
    case Status.Starting: return c?.starting ?? 0;
    case Status.Draining: return c?.draining ?? 0;
    case Status.Maintenance: return c?.maintenance ?? 0;
    default: return 0;
  }
};

export const totalOf = (c: CountsJson | undefined): number => statuses.reduce((n, s) => n + countOf(c, s), 0);

/** How many of how many are routable, such as `2/3`. Empty for an instance. */
export const upOf = (e: Entry): string =>
  e.counts === undefined ? "" : `${countOf(e.counts, Status.Serving) + countOf(e.counts, Status.Degraded)}/${totalOf(e.counts)}`;

/** The numbers of services, of instances, and of instances that are unconfirmed. */
export const sizeOf = (m: Mesh): { services: number; instances: number; unconfirmed: number } => {
  let unconfirmed = 0;
  for (const e of m.services.values()) unconfirmed += e.counts?.unconfirmed ?? 0;
  return { services: m.services.size, instances: m.instances.size, unconfirmed };
};
