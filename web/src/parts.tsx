// Small pieces that several views share. All texts from outside become text nodes.
import type { ComponentChildren, JSX } from "preact";
import { type Entry, meshName, Status } from "./entry";
import type { View } from "./route";
import { hrefOf, state } from "./state";
import { age, clockTime, dateTime, look, visible } from "./words";

/** A text from outside, such as a name or a reason. It cannot change the direction of the text around it. */
export const Outside = ({ text, class: name }: { text: string; class?: string }): JSX.Element => <bdi class={name}>{visible(text)}</bdi>;

/** The shape of a status. It is decoration beside a word. */
export const Glyph = ({ status, unconfirmed }: { status: Status; unconfirmed?: boolean }): JSX.Element => (
  <span class={`glyph ${look[status].className}${unconfirmed ? " unconfirmed" : ""}`} aria-hidden="true">{look[status].glyph}</span>
);

/** The status of an entry: shape, word, and whether it is unconfirmed. */
export const StatusWord = ({ entry }: { entry: Pick<Entry, "status" | "unconfirmed"> }): JSX.Element => (
  <span class="status">
    <Glyph status={entry.status} unconfirmed={entry.unconfirmed} /> {look[entry.status].word}
    {entry.unconfirmed && <span class="hint"> unconfirmed</span>}
  </span>
);

/** The view of a name as in CheckRequest.service. */
export const viewOfName = (name: string): View => {
  const cut = name.indexOf("/");
  const service = cut < 0 ? name : name.slice(0, cut);
  const instance = cut < 0 ? "" : name.slice(cut + 1);
  if (service === "") return { page: "coordinator" };
  if (service === meshName) return { page: "now" };
  if (instance === "" || instance.startsWith("@")) return { page: "service", service };
  return { page: "instance", service, instance };
};

/** A link to the view of a name. */
export const Name = ({ name }: { name: string }): JSX.Element => (
  <a class="name" href={hrefOf(viewOfName(name))}><Outside text={name} /></a>
);

/** The time since a moment of the coordinator's clock, which counts on. It shows nothing for 0. `present` disregards route.at. */
export const Age = ({ since, present }: { since: number; present?: boolean }): JSX.Element | null =>
  since === 0 ? null : <time class="age" dateTime={new Date(since).toISOString()} title={dateTime(since)}>{age(Math.max(0, (present ? state.present : state.clock).value - since))}</time>;

/** A moment as a time of day. */
export const Moment = ({ at }: { at: number }): JSX.Element | null =>
  at === 0 ? null : <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>{clockTime(at)}</time>;

/** A key of the keyboard. */
export const Key = ({ children }: { children: ComponentChildren }): JSX.Element => <kbd>{children}</kbd>;
