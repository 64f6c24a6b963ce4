// How a cell of the field looks, as a number that the page gives to the painter.
import { type Entry, statuses } from "./entry";

/** The number of looks that differ in status. */
export const kinds = statuses.length;
/** All looks: each status, and each status unconfirmed. */
export const looks = 2 * kinds;

/** The look of an entry. The one of undefined is UNKNOWN. */
export const lookOf = (e: Pick<Entry, "status" | "unconfirmed"> | undefined): number =>
  Math.max(0, statuses.indexOf(e?.status ?? 0)) + (e?.unconfirmed ? kinds : 0);
