// Light or dark: as the system says, until the operator says otherwise.
import { attribute } from "./dom.js";

const NAME = "gannet-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const kept = (): string | null => {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null;
  }
};

export const isDark = (): boolean => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

export function startTheme(): void {
  const theme = kept();
  if (theme === "light" || theme === "dark") attribute(document.documentElement, "data-theme", theme);
}

export function otherTheme(): void {
  const theme = isDark() ? "light" : "dark";
  attribute(document.documentElement, "data-theme", theme);
  try {
    // It is the only thing that the page keeps.
    localStorage.setItem(NAME, theme);
  } catch {
    // Without storage it is for this tab.
  }
}
