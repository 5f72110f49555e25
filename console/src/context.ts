// What every screen is given, and what it gives back.
import type { Connection } from "./stream.js";
import type { Model, Update } from "./model.js";
import type { Route } from "./route.js";

export interface Context {
  model: Model;
  route: Route;
  connection: Connection;
  /** Reads it out politely. */
  announce(words: string): void;
}

export interface Screen {
  /** Of the tab. */
  title: string;
  node: HTMLElement;
  /** The stream has told something. */
  update?(update: Update): void;
  /** The screen is left; what it asked is of no use any more. */
  close?(): void;
}

/** Runs `body` every so often while the page is seen, at once when it is seen again, and says how to stop it. */
export function whileSeen(everyMs: number, body: () => void): () => void {
  const seen = () => {
    if (!document.hidden) body();
  };
  const timer = setInterval(seen, everyMs);
  document.addEventListener("visibilitychange", seen);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}
