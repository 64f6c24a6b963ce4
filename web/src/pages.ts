// The views beside Now, what the view Now shows on request, and what reads the past. The browser loads this file when it first needs it.
export { CoordinatorPage } from "./coordinatorpage";
export { ExplanationPanel } from "./explanation";
export { Forbidden } from "./forbidden";
export { Help } from "./help";
export { HistoryPage } from "./historypage";
export { Instance } from "./instance";
export { Maintenance } from "./maintenancepage";
export * as past from "./past";
export { RootPage } from "./root";
export { Service } from "./service";
export { PastMissing, TravelBanner } from "./travelnote";
