// The screens' addresses: all of it is behind the `#`, which no server is sent.

export const SCREENS = ["overview", "apps", "groups", "group", "users", "user", "sessions", "session", "push", "operations", "configuration", "cluster"] as const;
export type ScreenName = (typeof SCREENS)[number];

export interface Route {
  screen: ScreenName;
  /** The app and the name, of the screens that are about one thing. */
  of: string[];
  query: Record<string, string>;
}

/** The parts that come after the name of a screen. */
const PARTS: Partial<Record<ScreenName, number>> = { group: 2, user: 2, session: 2 };

const decode = (part: string): string | null => {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
};

/** The route of a hash, or `null` if there is no such screen. */
export function parseRoute(hash: string): Route | null {
  const [path = "", search = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [name = "", ...parts] = path.split("/");
  const screen = (name === "" ? "overview" : name) as ScreenName;
  const of = parts.map(decode);
  if (!SCREENS.includes(screen) || of.length !== (PARTS[screen] ?? 0) || of.some((part) => !part)) return null;
  return { screen, of: of as string[], query: Object.fromEntries(new URLSearchParams(search)) };
}

export function href(screen: ScreenName, of: string[] = [], query: Record<string, string | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const path = screen === "overview" ? "" : [screen, ...of.map(encodeURIComponent)].join("/");
  return `#/${path}${search.size ? `?${search}` : ""}`;
}
