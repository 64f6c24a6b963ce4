// The records of the coordinator's history, as the page keeps them. Everything here is pure.
import type { ActionJson, TransitionJson } from "./gen/meshhealth/v1/admin_pb";
import { causeOf, meshName, nameOf, Status, statusOf, timeOf } from "./entry";

/** A record of the history: a change of a status, an action on an override, or a gap. */
export interface Transition {
  /** The name whose status changed. Empty for a gap and for an override of a selector. */
  readonly name: string;
  readonly service: string;
  readonly instance: string;
  readonly from: Status;
  readonly to: Status;
  /** Milliseconds since 1970, by the coordinator's clock. */
  readonly at: number;
  readonly cause: string;
  readonly reason: string;
  readonly firstFailure: number;
  readonly removed: boolean;
  /** The number of records that were dropped before this place. It is greater than 0 only for a gap. */
  readonly lost: number;
  readonly action: Action;
  readonly by: string;
  /** The scope of the override, for an action. */
  readonly scope: string;
}

/** What happened to an override. Empty for a change of a status. */
export type Action = "" | "set" | "cleared" | "ended";

const actions: Record<ActionJson, Action> = {
  ACTION_UNKNOWN: "",
  ACTION_OVERRIDE_SET: "set",
  ACTION_OVERRIDE_CLEARED: "cleared",
  ACTION_OVERRIDE_ENDED: "ended",
};

export const transitionOf = (t: TransitionJson): Transition => ({
  name: nameOf(t.service ?? "", t.instance ?? ""),
  service: t.service ?? "",
  instance: t.instance ?? "",
  from: statusOf(t.from),
  to: statusOf(t.to),
  at: timeOf(t.at),
  cause: causeOf(t.cause),
  reason: t.reason ?? "",
  firstFailure: timeOf(t.firstFailure),
  removed: t.removed ?? false,
  lost: Number(t.lost ?? 0),
  action: t.action === undefined ? "" : (actions[t.action] ?? ""),
  by: t.by ?? "",
  scope: t.scope ?? "",
});

/** Reports whether a record is a change of a status, and not a gap or an action on an override. */
export const isChange = (t: Transition): boolean => t.lost === 0 && t.action === "";

/** Reports whether a record may be the first one of an aggregate. An aggregate begins with UNKNOWN, and becomes STARTING at once. */
export const begins = (t: Transition): boolean => t.from === Status.Unknown && t.to === Status.Starting && (t.instance === "" || t.service === meshName);
