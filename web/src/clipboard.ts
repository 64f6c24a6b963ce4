import { state } from "./state";

/** Copies a text and tells the person the sentence `done`. */
export const copy = async (text: string, done: string): Promise<void> => {
  try {
    await navigator.clipboard.writeText(text);
    state.say(done);
  } catch {
    state.say("The browser does not allow the page to copy.");
  }
};
