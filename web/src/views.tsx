// The component of each view.
import { signal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { Now } from "./now";
import type * as pages from "./pages";
import type { View } from "./route";

const loaded = signal<typeof pages | undefined>(undefined);
const failed = signal(false);
let begun = false;

const load = (): void => {
  if (begun) return;
  begun = true;
  import("./pages").then((m) => (loaded.value = m), () => (failed.value = true));
};

/** A view that is loaded when it is first shown. */
const later = (pick: (m: typeof pages) => ComponentType): ComponentType =>
  function Later(): JSX.Element {
    load();
    const m = loaded.value;
    if (failed.value) return <p role="status">A part of the page could not be loaded. <button type="button" onClick={() => location.reload()}>reload the page</button></p>;
    if (m === undefined) return <p class="loading" aria-busy="true">The view is loading.</p>;
    const Picked = pick(m);
    return <Picked />;
  };

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
