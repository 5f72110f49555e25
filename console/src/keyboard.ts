// What a key means: a pure function of what was pressed before.
import type { ScreenName } from "./route.js";

export type Action =
  | { do: "search" | "theme" | "help" | "leave" | "open" }
  | { do: "row"; by: 1 | -1 }
  | { do: "go"; to: ScreenName };

export interface Pressed {
  key: string;
  /** Ctrl, Alt or Meta is down: the key is the browser's. */
  modified: boolean;
  /** The focus is where one types, so that letters are text. */
  typing: boolean;
}

/** `g` waits this long for the letter of a screen. */
export const CHORD_MS = 1500;

export const PLACES: Record<string, ScreenName> = {
  o: "overview", s: "sessions", g: "groups", u: "users", a: "apps", p: "push", x: "operations", c: "configuration", n: "cluster",
};

/** When `g` was pressed, or `null`, and what has to be done now. */
export function press(chord: number | null, { key, modified, typing }: Pressed, now: number): { chord: number | null; action: Action | null } {
  const does = (action: Action | null) => ({ chord: null, action });
  if (modified) return does(null);
  if (key === "Escape") return does({ do: "leave" });
  if (typing) return does(null);
  if (chord !== null && now - chord <= CHORD_MS) {
    const to = PLACES[key];
    return does(to ? { do: "go", to } : null);
  }
  switch (key) {
    case "g": return { chord: now, action: null };
    case "/": return does({ do: "search" });
    case "j": return does({ do: "row", by: 1 });
    case "k": return does({ do: "row", by: -1 });
    case "Enter": return does({ do: "open" });
    case "t": return does({ do: "theme" });
    case "?": return does({ do: "help" });
    default: return does(null);
  }
}
