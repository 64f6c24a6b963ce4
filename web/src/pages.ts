// The views beside Now, and what reads the past. The browser loads this file when it first needs it.
export { CoordinatorPage } from "./coordinatorpage";
export { HistoryPage } from "./historypage";
export { Instance } from "./instance";
export { Maintenance } from "./maintenancepage";
export * as past from "./past";
export { RootPage } from "./root";
export { Service } from "./service";
