// The field at the top: a combobox whose hits come while one types.
import { isAborted, request } from "./api.js";
import { attribute, fill, h } from "./dom.js";
import { plural } from "./format.js";
import { icon } from "./icons.js";
import type { Model } from "./model.js";
import { type Hit, leadsTo, type Question, questions, sorted } from "./search.js";

const PAUSE_MS = 120;
const MOST_HITS = 12;

/** Asks all questions with one request: a batch, one line for each. */
async function ask(asked: Question[], signal: AbortSignal): Promise<Hit[]> {
  const lines = asked.map(({ what, app, name }, id) => JSON.stringify(what === "session" ? { id, op: "session", app, session: name } : { id, op: "count", app, [what]: name }));
  const reply = await request("POST", "/v1/batch", { body: lines.join("\n"), signal });
  return (await reply.text()).trim().split("\n").map((line) => JSON.parse(line) as { id: number; ok?: { sessions?: number } }).map(({ id, ok }) => {
    const question = asked[id] as Question;
    return { ...question, sessions: ok === undefined ? 0 : question.what === "session" ? 1 : (ok.sessions ?? 0) };
  });
}

export class SearchBox {
  #model: Model;
  #list = h("div", { class: "hits", id: "hits", role: "listbox", "aria-label": "Hits", hidden: true });
  #none = h("div", { class: "hits", role: "status", hidden: true });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;
  #hits: Hit[] = [];
  #active = -1;
  /** Enter was pressed before the hits were there. */
  #eager = false;
  readonly input = h("input", {
    type: "search", role: "combobox", autocomplete: "off", autocapitalize: "none", spellcheck: "false", placeholder: "Session id, user, group or tag",
    "aria-label": "Search: session id, user, group or tag", "aria-expanded": "false", "aria-controls": "hits", "aria-autocomplete": "list",
    oninput: () => this.#typed(), onkeydown: (event: KeyboardEvent) => this.#key(event), onblur: () => this.#close(),
  });
  readonly node = h("div", { class: "search", role: "search" }, icon("search"), this.input, h("kbd", { "aria-hidden": "true" }, "/"), this.#list, this.#none);

  constructor(model: Model) {
    this.#model = model;
    // A click on a hit is not the end of the search.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  #typed(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#eager = false;
    const asked = questions(this.input.value, this.#model.appNames);
    if (asked.length === 0) this.#close();
    else this.#timer = setTimeout(() => void this.#search(asked), PAUSE_MS);
  }

  async #search(asked: Question[]): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const hits = await ask(asked, abort.signal);
      if (!abort.signal.aborted) this.#show(sorted(hits).slice(0, MOST_HITS), "Nobody and nothing has this name now.");
    } catch (error) {
      if (!isAborted(error)) this.#show([], "The server does not answer.");
    }
  }

  #show(hits: Hit[], otherwise: string): void {
    this.#hits = hits;
    fill(this.#list, hits.map(({ what, app, name, sessions }, at) =>
      h("div", { role: "option", id: `hit-${at}`, "aria-selected": "false", onclick: () => this.#open(at) },
        h("span", null, what), h("span", { class: what === "session" ? "mono" : null }, name), h("span", { class: "third" }, `${app} · ${plural(sessions, "session")}`))));
    fill(this.#none, hits.length ? null : h("p", null, otherwise));
    this.#list.hidden = hits.length === 0;
    this.#none.hidden = hits.length > 0;
    attribute(this.input, "aria-expanded", String(hits.length > 0));
    this.#choose(hits.length > 0 ? 0 : -1);
    if (this.#eager && hits.length > 0) this.#open(0);
  }

  #choose(at: number): void {
    this.#active = at;
    [...this.#list.children].forEach((option, index) => attribute(option, "aria-selected", String(index === at)));
    attribute(this.input, "aria-activedescendant", at >= 0 ? `hit-${at}` : null);
  }

  #key(event: KeyboardEvent): void {
    const last = this.#hits.length - 1;
    if (event.key === "ArrowDown" && last >= 0) this.#choose(this.#active >= last ? 0 : this.#active + 1);
    else if (event.key === "ArrowUp" && last >= 0) this.#choose(this.#active <= 0 ? last : this.#active - 1);
    else if (event.key === "Enter") {
      if (this.#active >= 0) this.#open(this.#active);
      else this.#eager = true;
    } else if (event.key === "Escape" && !this.#list.hidden) {
      event.stopPropagation();
      this.#close();
    } else return;
    event.preventDefault();
  }

  #open(at: number): void {
    const hit = this.#hits[at];
    if (!hit) return;
    this.input.value = "";
    this.#close();
    this.input.blur();
    location.hash = leadsTo(hit);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#hits = [];
    this.#list.hidden = this.#none.hidden = true;
    attribute(this.input, "aria-expanded", "false");
    this.#choose(-1);
  }
}
