// The pages beside Now. They are one module, which the browser loads after Now is shown.
export { CoordinatorPage as coordinator } from "./coordinatorpage";
export { HistoryPage as history } from "./historypage";
export { Instance as instance } from "./instance";
export { Maintenance as maintenance } from "./maintenancepage";
export { RootPage as root } from "./root";
export { Service as service } from "./service";
