import type { JSX } from "preact";
import { meshName } from "./entry";
import { Age, StatusWord } from "./parts";
import { state } from "./state";
import { Empty } from "./states";

/** The page of the mesh as it is now. */
export const Now = (): JSX.Element => {
  void state.tick.value;
  const mesh = state.shown.value.entries.get(meshName);
  if (!mesh) return <Empty />;
  return <h1><StatusWord entry={mesh} /> for <Age since={mesh.since} /></h1>;
};
