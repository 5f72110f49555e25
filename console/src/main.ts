// The page: asks for a key if the server wants one, opens the stream, shows the screen that the address names.
import { hasKey, type Refused, useKey } from "./api.js";
import type { Context, Screen } from "./context.js";
import { fill } from "./dom.js";
import { Gate } from "./gate.js";
import { helpDialog } from "./help.js";
import { press } from "./keyboard.js";
import { Model, type Update } from "./model.js";
import { href, parseRoute, type Route } from "./route.js";
import { screenOf } from "./screens/index.js";
import { missing, notFound } from "./screens/none.js";
import { allowed, rightFor, Shell } from "./shell.js";
import type { StreamEvent } from "./sse.js";
import { type Connection, Stream } from "./stream.js";
import { otherTheme, startTheme } from "./theme.js";
import type { Hello } from "./wire.js";

class Console {
  #model = new Model();
  #shell: Shell | null = null;
  #gate: Gate | null = null;
  #stream: Stream | null = null;
  #screen: Screen | null = null;
  #connection: Connection = "connecting";
  #chord: number | null = null;

  start(): void {
    startTheme();
    addEventListener("hashchange", () => this.#show(true));
    document.addEventListener("keydown", (event) => this.#key(event));
    useKey("", (refused) => this.#unauthorized(refused));
    this.#open();
  }

  #open(): void {
    this.#stream?.close();
    this.#stream = new Stream({
      event: (event) => this.#take(event),
      connection: (state, why) => this.#connected(state, why),
      refused: (refused) => this.#refused(refused),
    });
  }

  #take(event: StreamEvent): void {
    const begin = performance.now();
    const update = this.#model.take(event);
    if (update) this.#updated(update);
    if (event.name !== "tick") return;
    // For whoever measures the page; nothing is kept of it.
    performance.measure("tick", { start: begin });
    performance.clearMeasures("tick");
  }

  #updated(update: Update): void {
    if (update.kind === "hello") this.#hello(update);
    // A screen needs the hour, which comes right behind.
    if (update.kind !== "hello" && !this.#screen) this.#show(false);
    if (update.kind === "tick" || update.kind === "history") this.#shell?.tick();
    this.#screen?.update?.(update);
  }

  #hello({ restarted }: Update): void {
    if (!this.#shell) {
      this.#shell = new Shell(this.#model, () => this.#changeKey());
      this.#shell.hello();
      this.#gate = null;
      fill(document.body, this.#shell.node);
      return;
    }
    this.#shell.hello();
    if (!restarted) return;
    this.#show(false);
    this.#shell.note(`The server was restarted at ${new Date(this.#model.hello?.started_unix_ms ?? 0).toISOString().slice(11, 19)} UTC: the figures begin anew.`);
  }

  #connected(state: Connection, why: string): void {
    if (state === this.#connection && state !== "gone") return;
    this.#connection = state;
    this.#shell?.connection(state, why);
    if (!this.#shell) this.#atGate().waits(state === "gone" ? `${why} This page goes on trying.` : "");
  }

  #refused(refused: Refused): void {
    if (refused.status === 401) return;
    // A key that may push and not read has no stream; what it may do is on one screen.
    if (refused.status === 403 && !this.#shell) this.#pushOnly();
    else this.#connected("gone", refused.message);
  }

  #pushOnly(): void {
    const hello = { host: location.host, version: "", apps: [], cluster: false, scope: "apps", key: { name: "this key", may: ["push"], apps: [] as string[] } };
    this.#model.hello = hello as unknown as Hello;
    if (parseRoute(location.hash)?.screen === "overview") history.replaceState(null, "", href("push"));
    this.#hello({ kind: "hello", moved: false, restarted: false });
    this.#connected("live", "");
    this.#show(false);
  }

  #unauthorized(refused: Refused): void {
    const wanted = hasKey();
    this.#leave();
    if (wanted) this.#atGate().wrong(`The server does not take this key: ${refused.message}.`.replace("..", "."));
    else this.#atGate().focus();
  }

  #changeKey(): void {
    useKey("", (refused) => this.#unauthorized(refused));
    this.#leave();
    this.#atGate().focus();
  }

  /** Forgets all that is known of the server. */
  #leave(): void {
    this.#stream?.close();
    this.#screen?.close?.();
    this.#stream = this.#screen = this.#shell = null;
    this.#model = new Model();
    this.#connection = "connecting";
    document.title = "gannet";
  }

  #atGate(): Gate {
    if (this.#gate) return this.#gate;
    this.#gate = new Gate((key) => {
      useKey(key, (refused) => this.#unauthorized(refused));
      this.#open();
    });
    fill(document.body, this.#gate.node);
    return this.#gate;
  }

  /** Shows the screen of the address. */
  #show(focus: boolean): void {
    const shell = this.#shell;
    if (!shell) return;
    const route = parseRoute(location.hash);
    const context = (of: Route): Context => ({ model: this.#model, route: of, connection: this.#connection, announce: (words) => shell.announce(words) });
    this.#screen?.close?.();
    if (!route) this.#screen = notFound();
    else if (!allowed(this.#model, route.screen)) this.#screen = missing(rightFor(route.screen));
    else this.#screen = screenOf(context(route));
    document.title = `${this.#screen.title} · gannet`;
    shell.show(route?.screen ?? "overview", this.#screen.node, focus);
  }

  #key(event: KeyboardEvent): void {
    if (!this.#shell || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    const typing = target.matches?.("input, select, textarea, [contenteditable]");
    const { chord, action } = press(this.#chord, { key: event.key, modified: event.ctrlKey || event.altKey || event.metaKey, typing }, performance.now());
    this.#chord = chord;
    if (!action) return;
    switch (action.do) {
      case "go":
        if (allowed(this.#model, action.to)) location.hash = href(action.to);
        break;
      case "search": this.#shell.search.focus(); break;
      case "theme": otherTheme(); break;
      case "help": helpDialog((screen) => allowed(this.#model, screen)); break;
      case "row": this.#row(action.by); break;
      // The row's link has the focus: the browser opens it.
      case "open": return;
      case "leave":
        target.blur();
        return;
    }
    event.preventDefault();
  }

  /** The focus goes to the first link of the next row of the table that it is in, or of the first. */
  #row(by: 1 | -1): void {
    const links = [...(this.#screen?.node.querySelectorAll<HTMLElement>("tbody tr") ?? [])].map((row) => row.querySelector<HTMLElement>("a[href]")).filter((link) => link !== null && link.offsetParent !== null) as HTMLElement[];
    const at = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }
}

new Console().start();
