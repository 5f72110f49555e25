// What is looked for: 16 hexadecimal digits are a session; anything else a user, a group or a tag of exactly that name, in every app.
import { href } from "./route.js";

export type What = "session" | "user" | "group" | "tag";

export interface Question {
  what: What;
  app: string;
  name: string;
}

export interface Hit extends Question {
  sessions: number;
}

/** At most so many questions are asked for one name. */
export const MOST_APPS = 64;

/** The name without what comes along when one copies it. */
export const cleaned = (text: string): string => text.trim().replace(/^["']|["']$/g, "");

export function isSessionId(text: string): boolean {
  return /^[0-9a-f]{16}$/i.test(text);
}

/** What has to be asked to find a name. A name that looks like a session can be a user's too: then both are asked. */
export function questions(text: string, apps: string[]): Question[] {
  const name = cleaned(text);
  if (name === "" || new TextEncoder().encode(name).length > 128) return [];
  const kinds: What[] = isSessionId(name) ? ["session", "user", "group", "tag"] : ["user", "group", "tag"];
  return apps.slice(0, MOST_APPS).flatMap((app) => kinds.map((what) => ({ what, app, name: what === "session" ? name.toLowerCase() : name })));
}

/** Where a hit leads. */
export function leadsTo({ what, app, name }: Question): string {
  if (what === "session") return href("session", [app, name]);
  if (what === "user") return href("user", [app, name]);
  if (what === "group") return href("group", [app, name]);
  return href("sessions", [], { app, by: "tag", name });
}

const ORDER: What[] = ["session", "user", "group", "tag"];

/** Those that are there, the session first, then the largest of each kind. */
export function sorted(hits: Hit[]): Hit[] {
  return hits.filter(({ sessions }) => sessions > 0).sort((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what) || b.sessions - a.sessions);
}
