// The component of each view.
import type { ComponentType } from "preact";
import { later } from "./later";
import { Now } from "./now";
import type { View } from "./route";

/** The views by the page of their address. A view reads `state.route` itself. */
export const views: { readonly [page in View["page"]]?: ComponentType } = {
  now: Now,
  service: later((m) => m.Service),
  instance: later((m) => m.Instance),
  root: later((m) => m.RootPage),
  history: later((m) => m.HistoryPage),
  maintenance: later((m) => m.Maintenance),
  coordinator: later((m) => m.CoordinatorPage),
};
