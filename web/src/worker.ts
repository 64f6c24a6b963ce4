// The SharedWorker: one Hub for all tabs. A page without SharedWorkers imports this module and calls serve.
import { Hub, type Port } from "./hub";

// The module is BASE/ui/assets/worker.js; the services are below BASE.
const base = new URL("../../", import.meta.url).href;
const hub = new Hub({ base, token: "", fetch: (...args) => fetch(...args) });

/** Serves one tab. */
export const serve = (port: Port): void => hub.connect(port);

if ("onconnect" in globalThis) {
  (globalThis as unknown as SharedWorkerGlobalScope).onconnect = (e) => serve(e.ports[0]!);
}
