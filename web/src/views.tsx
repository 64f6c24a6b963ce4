// The component of each view.
import type { ComponentType } from "preact";
import { Now } from "./now";
import type { View } from "./route";

/** The views by the page of their address. A view reads `state.route` itself. */
export const views: { readonly [page in View["page"]]?: ComponentType } = {
  now: Now,
};
