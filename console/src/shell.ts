// What is around the screens: navigation, search, whether the figures are live, whose key it is.
import { attribute, classed, fill, h, say } from "./dom.js";
import { clock, count } from "./format.js";
import { halves, icon, logo } from "./icons.js";
import type { Model } from "./model.js";
import { button } from "./parts.js";
import { href, type ScreenName } from "./route.js";
import { SearchBox } from "./searchbox.js";
import type { Connection } from "./stream.js";
import { otherTheme } from "./theme.js";

interface Place {
  screen: ScreenName;
  words: string;
  icon: string;
  /** Screens that are below it. */
  under?: ScreenName[];
}

const PLACES: Place[][] = [
  [{ screen: "overview", words: "Overview", icon: "pulse" }],
  [
    { screen: "apps", words: "Apps", icon: "grid" },
    { screen: "groups", words: "Groups", icon: "people", under: ["group"] },
    { screen: "users", words: "Users", icon: "person", under: ["user"] },
    { screen: "sessions", words: "Sessions", icon: "rows", under: ["session"] },
  ],
  [
    { screen: "push", words: "Push & test", icon: "send" },
    { screen: "operations", words: "Operations", icon: "sliders" },
    { screen: "configuration", words: "Configuration", icon: "brackets" },
    { screen: "cluster", words: "Cluster", icon: "nodes" },
  ],
];

/** Whether the key can do anything on a screen; the others are absent. */
export function allowed(model: Model, screen: ScreenName): boolean {
  if (screen === "push") return model.may("push");
  if (screen === "configuration") return model.administers;
  if (screen === "operations") return model.may("read") && model.hello?.key.apps === null;
  if (screen === "cluster") return model.may("read") && model.hello?.cluster === true;
  return model.may("read");
}

/** The right that a screen needs, for who was linked to it without. */
export function rightFor(screen: ScreenName): string {
  if (screen === "push") return "push";
  return screen === "configuration" ? "all, in every app" : screen === "operations" ? "read, in every app" : "read";
}

export class Shell {
  #model: Model;
  #word = h("span", { class: "word" });
  #clock = h("time");
  #how = h("div", { class: "how" }, h("span", { class: "dot", "aria-hidden": "true" }), this.#word, this.#clock,
    h("button", { type: "button", class: "bare", "aria-label": "Light or dark", title: "Light or dark (t)", onclick: otherTheme }, halves()));
  #banner = h("div", { class: "banner-place" });
  #polite = h("p", { class: "unseen", role: "status" });
  #alert = h("p", { class: "unseen", role: "alert" });
  #tallies = new Map<ScreenName, HTMLElement>();
  #links: [Element, Place][] = [];
  #nav = h("nav", { class: "nav", "aria-label": "Screens" });
  #whose = h("section", { class: "whose", "aria-label": "Your key" });
  #side: HTMLElement;
  #tabs = h("nav", { class: "tabs", "aria-label": "Screens, in short" });
  #more: HTMLButtonElement;
  #place = h("div", { class: "place" });
  #main = h("main", { id: "main", tabindex: -1 }, this.#banner, this.#place);
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #spoken = -Infinity;
  #shape = "";
  readonly search: SearchBox;
  readonly node: HTMLElement;

  constructor(model: Model, changeKey: () => void) {
    this.#model = model;
    this.search = new SearchBox(model);
    this.#side = h("div", { class: "side", id: "side" }, this.#nav, this.#whose);
    this.#more = h("button", { type: "button", "aria-expanded": "false", "aria-controls": "side", onclick: () => this.#open(!this.#side.classList.contains("open")) }, icon("more"), "More");
    this.changeKey = changeKey;
    this.node = h("div", { class: "shell" },
      h("a", { class: "skip", href: "#main", onclick: (event: Event) => (event.preventDefault(), this.#main.focus()) }, "To the content"),
      h("header", { class: "head" }, h("a", { class: "brand", href: href("overview") }, logo(), "gannet"), h("div", { class: "bar" }, this.search.node, this.#how)),
      this.#side, this.#main, this.#tabs, this.#polite, this.#alert);
    this.connection("connecting", "");
  }

  readonly changeKey: () => void;

  /** Whose key it is and what it may see. */
  hello(): void {
    const { hello } = this.#model;
    if (!hello) return;
    const shape = JSON.stringify([hello.key, hello.cluster]);
    this.search.node.hidden = !this.#model.may("read");
    if (shape === this.#shape) return;
    this.#shape = shape;
    const may = this.#model.may("all") ? "read, push, administer" : hello.key.may.join(", ");
    fill(this.#whose, h("strong", null, hello.key.name ?? "no key is needed"), h("p", null, `may ${may}`),
      h("p", null, hello.key.apps === null ? "all apps" : hello.key.apps.join(", "), hello.key.name === null ? null : [" · ", button("change key", this.changeKey, "as-link")]));
    this.#places();
  }

  #places(): void {
    this.#links = [];
    this.#tallies.clear();
    const here = PLACES.map((places) => places.filter(({ screen }) => allowed(this.#model, screen))).filter(({ length }) => length > 0);
    fill(this.#nav, here.map((places) => h("ul", null, places.map((place) => {
      const tally = h("span", { class: "tally live" });
      const link = h("a", { href: href(place.screen) }, icon(place.icon), place.words, tally);
      this.#tallies.set(place.screen, tally);
      this.#links.push([link, place]);
      return h("li", null, link);
    }))));
    const short: [ScreenName, string][] = [["overview", "Overview"], ["sessions", "Sessions"], ["groups", "Groups"], ["operations", "Operate"], ["push", "Push"]];
    const tabs = short.map(([screen, words]) => ({ place: here.flat().find((place) => place.screen === screen), words })).filter(({ place }) => place !== undefined).slice(0, 4);
    fill(this.#tabs, tabs.map(({ place, words }) => {
      if (!place) return null;
      const link = h("a", { href: href(place.screen) }, icon(place.icon), words);
      this.#links.push([link, place]);
      return link;
    }), this.#more);
  }

  /** On phones: the list of all screens. */
  #open(open: boolean): void {
    classed(this.#side, "open", open);
    attribute(this.#more, "aria-expanded", String(open));
  }

  /** Shows a screen; the first heading gets the focus, unless the page was just opened. */
  show(screen: ScreenName, node: HTMLElement, focus: boolean): void {
    this.#open(false);
    this.#place.replaceChildren(node);
    for (const [link, place] of this.#links) {
      attribute(link, "aria-current", place.screen === screen ? "page" : place.under?.includes(screen) ? "true" : null);
    }
    this.#actions();
    if (!focus) return;
    scrollTo(0, 0);
    (node.querySelector<HTMLElement>("h1") ?? this.#main).focus({ preventScroll: true });
  }

  tick(): void {
    const { tick } = this.#model;
    if (!tick) return;
    const tally = (screen: ScreenName, n: number | undefined) => {
      const place = this.#tallies.get(screen);
      if (place) say(place, n === undefined ? "" : count(n));
    };
    tally("apps", this.#model.appNames.length);
    tally("groups", tick.groups);
    tally("users", tick.users);
    tally("sessions", tick.sessions);
    say(this.#clock, `${clock(tick.unix_ms)} UTC`);
  }

  connection(state: Connection, why: string): void {
    attribute(this.node, "data-state", state);
    attribute(this.#how, "data-state", state);
    say(this.#word, { live: "Live", gone: "Gone", connecting: "Connecting" }[state]);
    const at = this.#model.tick?.unix_ms;
    if (state === "gone") {
      this.banner(h("p", { class: "banner" }, icon("stop"), h("span", null, `${why} The figures are of ${at ? clock(at) : "before"}; actions are off until it answers.`)));
      if (this.#alert.textContent === "") say(this.#alert, why);
    } else {
      say(this.#alert, "");
      if (this.#banner.querySelector(".banner:not(.quiet)")) this.banner(null);
    }
    this.#actions();
  }

  /** What is above the screen: that the server is gone, or was restarted. */
  banner(node: HTMLElement | null): void {
    if (node) this.#banner.replaceChildren(node);
    else this.#banner.replaceChildren();
  }

  note(words: string): void {
    this.banner(h("p", { class: "banner quiet" }, icon("info"), h("span", null, words), button("Hide", () => this.banner(null), "as-link")));
    this.announce(words);
  }

  /** Reads out what is new, at most every 10 s: the last that was said counts. */
  announce(words: string): void {
    clearTimeout(this.#waiting);
    const wait = Math.max(0, this.#spoken + 10_000 - performance.now());
    this.#waiting = setTimeout(() => {
      this.#spoken = performance.now();
      say(this.#polite, words);
    }, wait);
  }

  alert(words: string): void {
    say(this.#alert, words);
  }

  /** While the server is gone nothing can be asked of it. */
  #actions(): void {
    const off = this.node.dataset.state === "gone";
    for (const set of this.#place.querySelectorAll<HTMLFieldSetElement>("fieldset.actions")) set.disabled = off;
  }
}
