// What screens are built of: fields, tables, results, links to people and groups.
import { inWords } from "./api.js";
import { type Child, fill, h } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { href } from "./route.js";

let last = 0;
export const unique = (what: string): string => `${what}-${++last}`;

export function field(name: Child, control: HTMLElement, wide = false): HTMLElement {
  return h("label", { class: wide ? "wide" : null }, h("span", null, name), control);
}

export function select(options: [value: string, words: string][], value = "", onchange?: () => void): HTMLSelectElement {
  const element = h("select", { onchange }, options.map(([is, words]) => h("option", { value: is }, words)));
  element.value = value;
  return element;
}

export const input = (props: Record<string, string | number | boolean> = {}): HTMLInputElement =>
  h("input", { type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...props });

export function button(words: Child, onclick: (event: Event) => void, kind = ""): HTMLButtonElement {
  return h("button", { type: "button", class: kind || null, onclick }, words);
}

/** A box around a form. While the server is gone, what is in it is off. */
export function box(title: Child, text: Child, ...children: Child[]): HTMLElement {
  return h("section", { class: "box" }, h("h2", null, title), text ? h("p", null, text) : null, h("fieldset", { class: "actions box-body" }, children));
}

export interface Column {
  name: Child;
  /** Right-aligned figures. */
  number?: boolean;
  /** Not shown on phones. */
  late?: boolean;
  class?: string;
}

const classes = ({ number, late, class: own }: Column): string | null => [number && "number", late && "late", own].filter(Boolean).join(" ") || null;

/** A table that a reader of screens knows by its name. */
export function table(caption: string, columns: Column[], rows: Child[][]): HTMLTableElement {
  const body = rows.map((cells) => row(columns, cells));
  return h("table", null, h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col", class: classes({ ...column, class: "" }) }, column.name)))),
    h("tbody", null, body));
}

export const row = (columns: Column[], cells: Child[]): HTMLTableRowElement => h("tr", null, cells.map((cell, at) => h("td", { class: classes(columns[at] as Column) }, cell)));

export const empty = (words: Child, ...link: Child[]): HTMLElement => h("p", { class: "empty" }, words, link.length ? [" ", ...link] : null);

export const userLink = (app: string, user: string | null): Child => (user === null ? h("span", { class: "third" }, "no user") : h("a", { href: href("user", [app, user]) }, user));
/** In a table the person is the link that shows; the others are links too. */
export const groupLink = (app: string, group: string): Child => h("a", { class: "plain", href: href("group", [app, group]) }, group);
export const sessionLink = (app: string, session: string, words: Child = session): HTMLAnchorElement => h("a", { class: words === session ? "plain" : null, href: href("session", [app, session]) }, words);

/** When a table was read, and how to read it again: it does not move by itself. */
export function asOf(at: number, again: () => void): Child[] {
  return [`as of ${clock(at)} `, button("Read again", again, "as-link")];
}

export interface Result {
  /** Counts, by what they count. */
  counts?: [string, Child][];
  text?: Child;
}

/** Where the result of an action is written; it gets the focus, so that it is read out where it is seen. */
export function resultPlace(): { node: HTMLElement; show(result: Result, quiet?: boolean): void; fail(error: unknown): void; wait(words: string): void; clear(): void } {
  const node = h("div", { class: "receipt", role: "status", tabindex: -1, hidden: true });
  const put = (isBad: boolean, focus: boolean, ...children: Child[]) => {
    node.hidden = false;
    node.classList.toggle("bad", isBad);
    fill(node, ...children);
    if (focus) node.focus();
  };
  return {
    node,
    show({ counts = [], text }, quiet = false) {
      put(false, !quiet, counts.length ? h("ul", null, counts.map(([what, n]) => h("li", null, `${what} `, h("b", null, n)))) : null, text ? h("p", null, text) : null);
    },
    fail: (error) => put(true, true, inWords(error)),
    wait: (words) => put(false, false, words),
    clear() {
      node.hidden = true;
    },
  };
}

export function heading(title: Child, ...under: Child[]): HTMLElement {
  return h("header", { class: "top" }, h("h1", { tabindex: -1 }, title), under.length ? h("p", { class: "under" }, under) : null);
}

export function section(title: Child, hint: Child, right: Child, ...children: Child[]): HTMLElement {
  return h("section", null,
    h("div", { class: "title" }, h("h2", null, title), hint ? h("span", { class: "hint" }, hint) : null, right ? h("span", { class: "right" }, right) : null),
    children);
}

export const crumbs = (...parts: Child[]): HTMLElement => h("nav", { class: "crumbs", "aria-label": "Where this is" }, parts.flatMap((part, at) => (at ? [" / ", part] : [part])));

/** What has gone wrong while something was read. */
export const failed = (error: unknown, again?: () => void): HTMLElement =>
  h("p", { class: "banner", role: "alert" }, icon("warning"), h("span", null, inWords(error)), again ? button("Try again", again, "as-link") : null);
