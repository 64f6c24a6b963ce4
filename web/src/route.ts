// The address of a view. Each address restores the view with its filter, grouping and time.

/** A view of the page. */
export type View =
  | { readonly page: "now" }
  | { readonly page: "service"; readonly service: string }
  | { readonly page: "instance"; readonly service: string; readonly instance: string }
  | { readonly page: "root"; readonly service: string }
  | { readonly page: "history" }
  | { readonly page: "maintenance" }
  | { readonly page: "coordinator" }
  | { readonly page: "missing"; readonly path: string };

/** A view with what the query of its address says. */
export interface Route {
  readonly view: View;
  /** The filter, in the grammar of selector.ts. Empty shows everything. */
  readonly q: string;
  /** What the field and the counts are grouped by: service, zone, version or label.KEY. Empty means service. */
  readonly group: string;
  /** The moment that is shown, in milliseconds since 1970. 0 means live. */
  readonly at: number;
  /** The moment with which `at` is compared on the page of the history, or 0. */
  readonly from: number;
  /** The end of the range on the page of the history, or 0. */
  readonly to: number;
  /** The name of the selected entry, or empty. */
  readonly selected: string;
}

const word = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The path of a view below the base of the page, without a slash at its beginning. */
export const pathOf = (v: View): string => {
  switch (v.page) {
    case "now": return "";
    case "service": return `s/${encodeURIComponent(v.service)}`;
    case "instance": return `s/${encodeURIComponent(v.service)}/${encodeURIComponent(v.instance)}`;
    case "root": return `r/${encodeURIComponent(v.service)}`;
    case "missing": return v.path;
    default: return v.page;
  }
};

/** The view of a path below the base of the page. */
export const viewOf = (path: string): View => {
  const parts = path.split("/").filter((p) => p !== "").map(word);
  const [first, second, third] = parts;
  if (parts.length === 0) return { page: "now" };
  if (first === "s" && second !== undefined && parts.length === 2) return { page: "service", service: second };
  if (first === "s" && second !== undefined && third !== undefined && parts.length === 3) return { page: "instance", service: second, instance: third };
  if (first === "r" && second !== undefined && parts.length === 2) return { page: "root", service: second };
  if (parts.length === 1 && (first === "history" || first === "maintenance" || first === "coordinator")) return { page: first };
  return { page: "missing", path };
};

const timeParam = (text: string | null): number => (text === null ? 0 : Math.max(0, Date.parse(text) || 0));

/** Reads the address of a view. `base` is the address of the page of Now. */
export const parseRoute = (url: URL, base: URL): Route => {
  const path = url.pathname.startsWith(base.pathname) ? url.pathname.slice(base.pathname.length) : "";
  const p = url.searchParams;
  return {
    view: viewOf(path),
    q: (p.get("q") ?? "").slice(0, 1024),
    group: (p.get("group") ?? "").slice(0, 256),
    at: timeParam(p.get("at")),
    from: timeParam(p.get("from")),
    to: timeParam(p.get("to")),
    selected: (p.get("sel") ?? "").slice(0, 512),
  };
};

/** Returns the address of a view, relative to the base of the page. */
export const addressOf = (r: Route): string => {
  const p = new URLSearchParams();
  if (r.q !== "") p.set("q", r.q);
  if (r.group !== "") p.set("group", r.group);
  if (r.at > 0) p.set("at", new Date(r.at).toISOString());
  if (r.from > 0) p.set("from", new Date(r.from).toISOString());
  if (r.to > 0) p.set("to", new Date(r.to).toISOString());
  if (r.selected !== "") p.set("sel", r.selected);
  const query = p.toString();
  return pathOf(r.view) + (query === "" ? "" : `?${query}`);
};
