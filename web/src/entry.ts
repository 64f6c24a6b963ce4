// The words of the page for one instance or aggregate. Everything here is pure.
import type { CauseJson, StatusJson } from "./gen/meshhealth/v1/status_pb";
import type { CheckHealthJson, CountsJson, HealthJson, OverrideJson } from "./gen/meshhealth/v1/health_pb";

/** A status. The value is the number of meshhealth.v1.Status. */
export const enum Status {
  Unknown = 0,
  Serving = 1,
  NotServing = 2,
  ServiceUnknown = 3,
  Degraded = 4,
  Starting = 5,
  Draining = 6,
  Maintenance = 7,
}

/** All statuses that an entry can have, the worst first. */
export const statuses: readonly Status[] = [
  Status.NotServing, Status.Unknown, Status.Starting, Status.Draining, Status.Maintenance, Status.Degraded, Status.Serving,
];

const statusNumbers: Record<StatusJson, Status> = {
  STATUS_UNKNOWN: Status.Unknown,
  STATUS_SERVING: Status.Serving,
  STATUS_NOT_SERVING: Status.NotServing,
  STATUS_SERVICE_UNKNOWN: Status.ServiceUnknown,
  STATUS_DEGRADED: Status.Degraded,
  STATUS_STARTING: Status.Starting,
  STATUS_DRAINING: Status.Draining,
  STATUS_MAINTENANCE: Status.Maintenance,
};

/** Proto JSON omits the zero value, so an absent status is UNKNOWN. So is one that is not known. */
export const statusOf = (s: StatusJson | undefined): Status => (s === undefined ? Status.Unknown : (statusNumbers[s] ?? Status.Unknown));

/** The name that the mesh has as a service. */
export const meshName = "*";

/** An entry of the coordinator as the page keeps it. Times are milliseconds since 1970, by the coordinator's clock. */
export interface Entry {
  /** The name as in CheckRequest.service: `service`, `service/instance`, `*`, `*`/zone, `service/@zone`, or empty. */
  readonly name: string;
  readonly service: string;
  /** Empty for a service or the mesh. `@zone` or the zone for a zone aggregate. */
  readonly instance: string;
  readonly kind: Kind;
  readonly status: Status;
  /** The cause in lower case without its prefix, such as `lease_expired`. Empty if none was given. */
  readonly cause: string;
  readonly reason: string;
  /** When the status began. 0 if it is not known. */
  readonly since: number;
  readonly firstFailure: number;
  readonly unconfirmed: boolean;
  readonly root: string;
  readonly affected: number;
  /** When the next decision about an unconfirmed entry is due, or 0; and the cause that it will then have. */
  readonly nextAt: number;
  readonly nextCause: string;
  readonly zone: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly counts: CountsJson | undefined;
  readonly checks: readonly CheckHealthJson[];
  readonly override: OverrideJson | undefined;
  readonly dependencies: readonly { readonly service: string; readonly soft: boolean }[];
  readonly revision: number;
  /** When the entry was made. The ages in `checks` refer to this time. */
  readonly at: number;
}

/** What an entry stands for. */
export type Kind = "coordinator" | "mesh" | "mesh-zone" | "service" | "service-zone" | "instance";

/** Returns the name of an entry as in CheckRequest.service. */
export const nameOf = (service: string, instance: string): string => (instance === "" ? service : `${service}/${instance}`);

const kindOf = (service: string, instance: string): Kind => {
  if (service === "") return "coordinator";
  if (service === meshName) return instance === "" ? "mesh" : "mesh-zone";
  if (instance === "") return "service";
  return instance.startsWith("@") ? "service-zone" : "instance";
};

const causes = /* @__PURE__ */ new Map<string | undefined, string>([[undefined, ""], ["CAUSE_UNKNOWN", ""]]);

/** The cause without its prefix and in lower case, or empty. */
export const causeOf = (c: CauseJson | undefined): string => {
  let word = causes.get(c);
  if (word === undefined) causes.set(c, (word = c!.slice("CAUSE_".length).toLowerCase()));
  return word;
};
/** A time in ms since 1970, or 0. */
export const timeOf = (t: string | undefined): number => (t === undefined ? 0 : Date.parse(t) || 0);
/** Returns a function like timeOf for one field. Entries that were made together have the same one, so it keeps the last. */
const timeReader = (): ((t: string | undefined) => number) => {
  let text: string | undefined;
  let time = 0;
  return (t) => {
    if (t === undefined) return 0;
    if (t !== text) [text, time] = [t, timeOf(t)];
    return time;
  };
};
const sinceOf = /* @__PURE__ */ timeReader();
const firstFailureOf = /* @__PURE__ */ timeReader();
const nextAtOf = /* @__PURE__ */ timeReader();
const atOf = /* @__PURE__ */ timeReader();
const none: never[] = [];
const noLabels: Readonly<Record<string, string>> = {};

/**
 * Converts a message to an entry. It returns undefined for a removal. Texts and labels that are as they
 * were in the entry before are taken from there. So the new ones are garbage at once, which costs least.
 */
export const entryOf = (h: HealthJson, name = nameOf(h.service ?? "", h.instance ?? ""), before?: Entry): Entry | undefined => {
  if (h.removed) return undefined;
  const service = before?.service ?? h.service ?? "";
  const instance = before?.instance ?? h.instance ?? "";
  return {
    name: before?.name ?? name,
    service,
    instance,
    kind: before?.kind ?? kindOf(service, instance),
    status: statusOf(h.status),
    cause: causeOf(h.cause),
    reason: same(h.reason, before?.reason),
    since: sinceOf(h.since),
    firstFailure: firstFailureOf(h.firstFailure),
    unconfirmed: h.unconfirmed ?? false,
    root: same(h.root, before?.root),
    affected: h.affected ?? 0,
    nextAt: nextAtOf(h.nextAt),
    nextCause: causeOf(h.nextCause),
    zone: same(h.zone, before?.zone),
    version: same(h.version, before?.version),
    labels: sameLabels(h.labels ?? noLabels, before?.labels),
    address: same(h.address, before?.address),
    counts: h.counts,
    checks: h.checks ?? none,
    override: h.override,
    dependencies: h.dependencies?.map((d) => ({ service: d.service ?? "", soft: d.soft ?? false })) ?? none,
    revision: Number(h.revision ?? 0),
    at: atOf(h.at),
  };
};

const same = (text = "", before: string | undefined): string => (text === before ? before : text);

const sameLabels = (labels: Entry["labels"], before: Entry["labels"] | undefined): Entry["labels"] => {
  if (before === undefined) return labels;
  const keys = Object.keys(labels);
  return keys.length === Object.keys(before).length && keys.every((key) => labels[key] === before[key]) ? before : labels;
};
