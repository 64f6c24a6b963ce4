// The keys that move through the rows of a page about one service, and lead from it to its root.
import { type Binding, useKeys } from "./keys";
import { viewOfName } from "./parts";
import { state } from "./state";

/** Binds the keys. `names` are the rows, and `root` is the service whose failure explains the page. */
export const useRowKeys = (names: readonly string[], root: string): void => {
  const move = (by: number): void => {
    const at = names.indexOf(state.route.peek().selected);
    const next = names[at < 0 ? 0 : Math.min(names.length - 1, Math.max(0, at + by))];
    if (next !== undefined) state.go({ selected: next }, true);
  };
  const open = (): void => {
    const { selected } = state.route.peek();
    if (names.includes(selected)) state.go({ view: viewOfName(selected) });
  };
  const rows: Binding[] = [
    { key: "ArrowDown", does: "next row", run: () => move(1) },
    { key: "ArrowUp", does: "row before", run: () => move(-1) },
    { key: "j", does: "next row", run: () => move(1) },
    { key: "k", does: "row before", run: () => move(-1) },
    { key: "Enter", does: "open the row", run: open },
  ];
  const away: Binding = { key: "r", does: "what the root affects", run: () => state.go({ view: { page: "root", service: root } }) };
  // Without rows the arrows scroll.
  useKeys(names.length > 0 ? [...rows, away] : [away]);
};
