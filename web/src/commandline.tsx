// The command line below each view, and the key that copies it.
import type { JSX } from "preact";
import { copy } from "./clipboard";
import { commandOf } from "./command";
import { useKeys } from "./keys";
import { Key, Outside } from "./parts";
import { state } from "./state";

/** A command line with a button that copies it. */
export const Line = ({ line }: { line: string }): JSX.Element => (
  <span class="commandline"><code><Outside text={line} /></code> <button type="button" onClick={() => void copy(line, "The command line is copied.")}>copy</button></span>
);

/** The same as the view in a terminal. */
export const CommandLine = (): JSX.Element => {
  const { line, without } = commandOf(state.route.value);
  useKeys([{ key: "c", does: "copy the command line of this view", run: () => void copy(line, "The command line is copied.") }]);
  return (
    <footer class="command">
      <span class="hint">The same in a terminal:</span> <Line line={line} /> <Key>c</Key>
      {without.length > 0 && <span class="hint"> without {without.join(" and ")}</span>}
    </footer>
  );
};
