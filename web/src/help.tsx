// The list of all keys.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { bindings, letterKeys, setLetterKeys } from "./keys";
import { Key } from "./parts";

/** A dialog with the keys of the view that is shown. */
export const Help = ({ close }: { close: () => void }): JSX.Element => {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const shown = new Map(bindings.value.map((b) => [b.key, b]));
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <table>
        <thead><tr><th scope="col">key</th><th scope="col">what it does</th></tr></thead>
        <tbody>{[...shown.values()].map((b) => <tr key={b.key}><th scope="row"><Key>{b.key === " " ? "Space" : b.key}</Key></th><td>{b.does}</td></tr>)}</tbody>
      </table>
      <p><label><input type="checkbox" checked={letterKeys.value} onChange={(e) => setLetterKeys(e.currentTarget.checked)} /> keys with one letter</label></p>
      <form method="dialog"><button type="submit">close</button></form>
    </dialog>
  );
};
