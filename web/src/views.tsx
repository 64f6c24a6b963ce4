// The component of each view.
import { signal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { Now } from "./now";
import type { View } from "./route";
import { Loading } from "./states";

type Rest = typeof import("./rest");

/** The module of the pages beside Now, once it is loaded. */
const rest = signal<Rest | undefined>(undefined);
const failed = signal(false);

/** Loads the pages beside Now. It is safe to call it again. */
export const loadRest = async (): Promise<void> => {
  if (rest.peek() !== undefined) return;
  failed.value = false;
  try {
    rest.value = await import("./rest");
  } catch {
    failed.value = true;
  }
};

const later = (page: keyof Rest): ComponentType => () => {
  const Page = rest.value?.[page];
  if (Page !== undefined) return <Page />;
  return failed.value ? <NotLoaded /> : <Loading />;
};

const NotLoaded = (): JSX.Element => (
  <section class="empty" role="alert">
    <h1>This part of the page could not be loaded</h1>
    <p>The coordinator does not answer, or was updated. <button type="button" onClick={() => void loadRest()}>try again</button></p>
  </section>
);

/** The views by the page of their address. A view reads `state.route` itself. */
export const views: { readonly [page in View["page"]]?: ComponentType } = {
  now: Now,
  service: later("service"),
  instance: later("instance"),
  root: later("root"),
  history: later("history"),
  maintenance: later("maintenance"),
  coordinator: later("coordinator"),
};
