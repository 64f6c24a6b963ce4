// The banner of a caller that may not read the mesh.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Outside } from "./parts";
import { state } from "./state";

/** Says why the stream was refused, and asks for a token. */
export const Forbidden = (): JSX.Element => {
  const c = state.connection.value;
  const token = useSignal("");
  return (
    <div class="banner forbidden" role="status">
      <strong>{c.needsToken ? "The coordinator wants to know who you are." : "You may not read the mesh."}</strong> <Outside text={c.error} />
      <form onSubmit={(e) => { e.preventDefault(); state.setToken(token.value.trim()); token.value = ""; }}>
        <label>Bearer token <input type="password" autocomplete="off" value={token.value} onInput={(e) => (token.value = e.currentTarget.value)} /></label>{" "}
        <button type="submit">use it</button> <span class="hint">It is kept in memory only, until the last tab closes.</span>
      </form>
    </div>
  );
};
