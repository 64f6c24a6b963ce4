// Whether what the page shows can be trusted, in sentences. Everything here is pure.
import { durationOf } from "./duration";
import { statusOf, timeOf, Status } from "./entry";
import type { GetCoordinatorResponseJson } from "./gen/meshhealth/v1/admin_pb";
import { age, look, number, plural } from "./words";

/** One sentence about the trust in the page. */
export interface Finding {
  readonly ok: boolean;
  readonly text: string;
}

/** What the page knows of its own connection. */
export interface Reception {
  readonly state: "live" | "reading" | "lost";
  /** The time since the last message in ms. */
  readonly quiet: number;
}

/** Returns what speaks for and against trust, reasons for doubt first. `now` is the coordinator's time. */
export const trustOf = (c: GetCoordinatorResponseJson, r: Reception, now: number): Finding[] => {
  const found: Finding[] = [];
  const say = (ok: boolean, text: string): void => void found.push({ ok, text });
  if (r.state === "live") say(true, "The page receives changes as they happen.");
  else if (r.state === "reading") say(false, "The page is reading everything again, and shows what it had before.");
  else say(false, `The page has received nothing for ${age(r.quiet)}. It shows what was last received.`);
  const status = statusOf(c.status);
  say(status === Status.Serving, `The coordinator says that it is ${look[status].word}${c.reason ? `: ${c.reason}` : ""}.`);
  const coverage = typeof c.pollCoverage === "number" ? c.pollCoverage : Number(c.pollCoverage ?? 0);
  say(coverage >= 0.99, coverage >= 0.99 ? "It makes its polls in time." : `It makes only ${Math.floor(coverage * 100)} % of its polls in time, so some statuses are older than they should be.`);
  const score = c.score ?? 0;
  say(score === 0, score === 0 ? "It has no doubt about itself (0 of 7)." : `Its doubt about itself is ${score} of 7, so its time-outs are ${score + 1} times as long.`);
  for (const g of c.guards ?? []) {
    const where = g.zone ? `zone ${g.zone}` : "the mesh";
    say(false, `A guard is tripped since ${age(Math.max(0, now - timeOf(g.since)))}: ${number(g.doubted ?? 0)} of ${number(g.known ?? 0)} instances of ${where} cannot be reached. ${g.faded ? "It holds them no more, so they are UNKNOWN." : "Their statuses are held, not judged."}`);
  }
  if ((c.guards ?? []).length === 0) say(true, "No guard is tripped.");
  const amnesty = timeOf(c.amnestyUntil);
  if (amnesty > now) say(false, `It started ${age(durationOf(c.uptime))} ago. Statuses from before are unconfirmed for ${age(amnesty - now)} more.`);
  if ((c.unconfirmed ?? 0) > 0) say(false, `${plural(c.unconfirmed!, "instance")} cannot be confirmed at the moment.`);
  if (c.forgivenAge !== undefined) {
    const late = durationOf(c.forgivenAge);
    say(late > 600_000, `It was late itself ${age(late)} ago, and gave every instance that much more time.`);
  }
  store(c, say);
  const flooding = c.floodingInstances ?? [];
  if (flooding.length > 0) say(false, `${flooding.length === 1 ? "One instance sends" : `${flooding.length} instances send`} too many messages; only the latest of each second is used: ${flooding.join(", ")}.`);
  const open = c.openTargets ?? [];
  if (open.length > 0) say(true, `${plural(open.length, "address").replace("addresss", "addresses")} did not answer for so long that it asks them rarely: ${open.join(", ")}.`);
  return found.sort((a, b) => Number(a.ok) - Number(b.ok));
};

const store = (c: GetCoordinatorResponseJson, say: (ok: boolean, text: string) => void): void => {
  if (c.storeError) say(false, `The store takes no records: ${c.storeError}. The history has a gap from then on.`);
  const commit = durationOf(c.storeCommitAge);
  if (commit > 0) say(false, `The store is slow: its present commit takes ${age(commit)} so far.`);
  const lost = Number(c.storeLost ?? 0);
  if (lost > 0) say(false, `${plural(lost, "record")} of the history ${lost === 1 ? "was" : "were"} lost since the start.`);
  if (!c.storeError && commit === 0 && lost === 0) say(true, "The store takes all records.");
};
