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

/** Runs `body` every so often while the page is seen, and says how to stop it. */
export function whileSeen(everyMs: number, body: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) body();
  }, everyMs);
  return () => clearInterval(timer);
}
