// What the browser keeps for this page. A browser may forbid it, and then the page works without it.
const prefix = "meshhealth.";

export const kept = (key: string): string => {
  try {
    return localStorage.getItem(prefix + key) ?? "";
  } catch {
    return "";
  }
};

export const keep = (key: string, value: string): void => {
  try {
    localStorage.setItem(prefix + key, value);
  } catch {
    // The value holds until the tab closes.
  }
};
