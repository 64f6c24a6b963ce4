// The frame of the page: top bar, banners, the view of the address, keys and the live region.
import { computed, effect, useSignal } from "@preact/signals";
import { type JSX, render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { meshName } from "./entry";
import { copy } from "./clipboard";
import { CommandLine } from "./commandline";
import { listenToKeys, useKeys } from "./keys";
import { later } from "./later";
import { announcements } from "./announce";
import { parseRoute, type View } from "./route";
import { parseSelector } from "./selector";
import { Banners, Loading, Missing } from "./states";
import { hrefOf, now, state } from "./state";
import { nextTheme, showTheme, theme } from "./theme";
import { canShowPast, needsPast, startTravel, step } from "./travel";
import { views } from "./views";
import { age, inTrouble, look, number } from "./words";

const Help = later((m) => m.Help);
const PastMissing = later((m) => m.PastMissing);

const App = (): JSX.Element => {
  const help = useSignal(false);
  const filter = useRef<HTMLInputElement>(null);
  useKeys([
    { key: "/", does: "filter", run: () => filter.current?.focus() },
    { key: "Escape", does: "back", run: () => back(filter.current) },
    { key: "l", does: "show live", run: () => { state.pause(false); state.go({ at: 0 }); } },
    { key: " ", does: "pause or go on", run: () => state.pause(!state.paused.peek()) },
    { key: "g n", does: "go to Now", run: () => state.go({ view: { page: "now" } }) },
    { key: "g h", does: "go to History", run: () => state.go({ view: { page: "history" } }) },
    { key: "g m", does: "go to Maintenance", run: () => state.go({ view: { page: "maintenance" } }) },
    { key: "g c", does: "go to Coordinator", run: () => state.go({ view: { page: "coordinator" } }) },
    { key: "[", does: "the change before", run: () => void step(-1) },
    { key: "]", does: "the next change", run: () => void step(1) },
    { key: "y", does: "copy the link to this view", run: () => void copy(location.href, "The link is copied.") },
    { key: "t", does: "other colours", run: nextTheme },
    { key: "?", does: "all keys", run: () => (help.value = !help.value) },
  ]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>skip to the content</a>
      <header class="topbar">
        <a class="brand" href={hrefOf({ page: "now" })}>meshhealth</a>
        <Nav />
        <FilterBox input={filter} />
        <Indicator />
        <button type="button" class="plain" onClick={nextTheme}>colours: {theme}</button>
        <button type="button" class="plain" onClick={() => (help.value = true)}>keys</button>
      </header>
      <Content key={known.value} />
      <p class="visually-hidden" role="status" aria-live="polite">{announcements}</p>
      <Toast />
      {help.value && <Help close={() => (help.value = false)} />}
    </>
  );
};

/** Everything that depends on the mesh. It is made anew when the mesh is known, so that nothing moves from where the picture of loading was. */
const Content = (): JSX.Element => (
  <>
    <Banners />
    <main id="main" tabIndex={-1}><CurrentView /></main>
    <CommandLine />
  </>
);

const CurrentView = (): JSX.Element => {
  const { view } = state.route.value;
  const ViewOf = views[view.page];
  if (view.page === "missing") return <Missing path={view.path} />;
  if (!ViewOf) return <Missing path={view.page} />;
  if (!known.value) return <Loading />;
  return needsPast() && !canShowPast() ? <PastMissing /> : <ViewOf />;
};

/** There is something to show. An empty mesh counts once the coordinator has said that it is empty. */
const known = computed(() => !state.empty.value || state.connection.value.state === "live" || state.connection.value.state === "old-build");

const pages: readonly [string, View][] = [
  ["Now", { page: "now" }], ["History", { page: "history" }], ["Maintenance", { page: "maintenance" }], ["Coordinator", { page: "coordinator" }],
];

const Nav = (): JSX.Element => {
  const { page } = state.route.value.view;
  return (
    <nav aria-label="Pages">
      {pages.map(([title, view]) => <a key={title} href={hrefOf(view)} aria-current={page === view.page ? "page" : undefined}>{title}</a>)}
    </nav>
  );
};

const FilterBox = ({ input }: { input: { current: HTMLInputElement | null } }): JSX.Element => {
  const { q } = state.route.value;
  const { error } = parseSelector(q);
  return (
    <div class="filterbox">
      <input ref={input} type="search" aria-label="Filter" placeholder="filter: pay, zone=eu-1, status=NOT_SERVING" spellcheck={false} autocomplete="off"
        maxLength={1024} value={q} aria-invalid={error !== ""} aria-describedby={error === "" ? undefined : "filter-error"}
        onInput={(e) => state.go({ q: e.currentTarget.value }, true)} />
      {error !== "" && <p id="filter-error" class="filter-error" role="status">{error}</p>}
    </div>
  );
};

/** Tells the truth about the stream in a few words. */
const Indicator = (): JSX.Element => {
  const c = state.connection.value;
  void state.present.value; // The ages below count on.
  const words: Record<typeof c.state, string> = {
    connecting: "connecting", reading: "reading", live: state.paused.value ? "paused" : "live",
    lost: `no news for ${age(now() - c.lastNews)}`, forbidden: "not allowed", "old-build": "live, old page",
  };
  return <span class={`indicator ${state.paused.value ? "paused" : c.state}`} title={`revision ${number(state.mesh.revision)}`}>{words[c.state]}{c.state === "reading" && ` ${number(state.received.value)}`}</span>;
};

const Toast = (): JSX.Element | null => {
  const n = state.notice.value;
  const gone = useSignal(0);
  useEffect(() => {
    if (!n) return;
    const timer = setTimeout(() => (gone.value = n.id), 6000);
    return () => clearTimeout(timer);
  }, [n?.id]);
  return n && gone.value !== n.id ? <div class="toast" role="status">{n.text}</div> : null;
};

/** Leaves the filter, then drops the selection, then the filter, and then the view. */
const back = (filter: HTMLInputElement | null): void => {
  const r = state.route.peek();
  if (filter !== null && document.activeElement === filter) filter.blur();
  else if (r.selected !== "") state.go({ selected: "" }, true);
  else if (r.q !== "") state.go({ q: "" }, true);
  else if (r.view.page !== "now") state.go({ view: { page: "now" } });
};

const skip = (e: MouseEvent): void => {
  e.preventDefault();
  document.getElementById("main")?.focus();
};

/** Follows links of the page without loading it again. */
const followLinks = (base: URL): void =>
  window.addEventListener("click", (e) => {
    if (e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    const a = e.target instanceof Element ? e.target.closest("a") : null;
    if (a === null || a.target !== "" || a.hasAttribute("download")) return;
    const url = new URL(a.href);
    if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
    e.preventDefault();
    state.go(parseRoute(url, base));
  });

const connected = computed(() => state.connection.value.state);

const showTitle = (): void => {
  void state.pulse.value;
  const mesh = state.shown.value.entries.get(meshName);
  const still = connected.value === "lost" || connected.value === "forbidden" || state.paused.value || state.route.value.at > 0 ? "⏸ " : "";
  const status = mesh === undefined ? "" : `${look[mesh.status].glyph} ${inTrouble(mesh.status) ? `${look[mesh.status].word} ` : ""}`;
  document.title = `${still}${status}meshhealth`;
  document.documentElement.dataset["connection"] = state.route.value.at > 0 ? "past" : connected.value;
};

showTheme();
state.start();
startTravel();
followLinks(new URL(document.baseURI));
listenToKeys();
effect(showTitle);
const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
