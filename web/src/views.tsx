// The component of each view.
import type { ComponentType } from "preact";
import { CoordinatorPage } from "./coordinatorpage";
import { HistoryPage } from "./historypage";
import { Instance } from "./instance";
import { Maintenance } from "./maintenancepage";
import { Now } from "./now";
import { RootPage } from "./root";
import type { View } from "./route";
import { Service } from "./service";

/** The views by the page of their address. A view reads `state.route` itself. */
export const views: { readonly [page in View["page"]]?: ComponentType } = {
  now: Now,
  service: Service,
  instance: Instance,
  root: RootPage,
  history: HistoryPage,
  maintenance: Maintenance,
  coordinator: CoordinatorPage,
};
