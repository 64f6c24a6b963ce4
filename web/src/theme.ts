// The colours of the page: by the system, light, dark, or with the largest distance between statuses.
import { signal } from "@preact/signals";
import { keep, kept } from "./kept";

const themes = ["auto", "light", "dark", "distinct"] as const;
export type Theme = (typeof themes)[number];

const stored = kept("theme") as Theme;
/** The theme. `distinct` follows the system between light and dark. */
export const theme = signal<Theme>(themes.includes(stored) ? stored : "auto");

export const showTheme = (): void => void (document.documentElement.dataset["theme"] = theme.peek());

/** Goes on to the next theme. */
export const nextTheme = (): void => {
  theme.value = themes[(themes.indexOf(theme.peek()) + 1) % themes.length]!;
  keep("theme", theme.value);
  showTheme();
};
