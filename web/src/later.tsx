// Parts of the page that the browser loads when it first needs them.
import { signal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import type * as pages from "./pages";

const loaded = signal<typeof pages | undefined>(undefined);
const failed = signal(false);
let begun = false;

const load = (): void => {
  if (begun) return;
  begun = true;
  import("./pages").then((m) => (loaded.value = m), () => (failed.value = true));
};

/** A component that is loaded when it is first shown. */
export const later = <P extends object>(pick: (m: typeof pages) => ComponentType<P>): ComponentType<P> =>
  function Later(properties: P): JSX.Element {
    load();
    const m = loaded.value;
    if (failed.value) return <p role="status">A part of the page could not be loaded. <button type="button" onClick={() => location.reload()}>reload the page</button></p>;
    if (m === undefined) return <p class="loading" aria-busy="true">The view is loading.</p>;
    const Picked = pick(m);
    return <Picked {...properties} />;
  };
