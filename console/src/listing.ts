// A table that is a snapshot: read page by page, with the time of the reading, and again only when the operator says so.
import { isAborted } from "./api.js";
import { type Child, fill, h } from "./dom.js";
import { clock } from "./format.js";
import { button, type Column, failed, table } from "./parts.js";
import type { Partial } from "./wire.js";

export interface Page extends Partial {
  rows: Child[][];
  next: string | null;
  /** How many there are, in words. */
  note?: string;
}

export interface ListingOptions {
  caption: string;
  columns: Column[];
  load(after: string | null, signal: AbortSignal): Promise<Page>;
  /** What would be here. */
  none: () => HTMLElement;
  /** Called with every page. */
  loaded?(page: Page): void;
}

export class Listing {
  #options: ListingOptions;
  #abort = new AbortController();
  /** The `after` of the pages before this one. */
  #before: (string | null)[] = [];
  #after: string | null = null;
  /** Where it says of when this is. */
  readonly when = h("span", { role: "status" });
  readonly node = h("div", { class: "listing" });

  constructor(options: ListingOptions) {
    this.#options = options;
  }

  /** Reads the first page. */
  first(): void {
    this.#before = [];
    void this.#read(null);
  }

  /** Reads the page that is shown. */
  again(): void {
    void this.#read(this.#after);
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(after: string | null): Promise<void> {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#after = after;
    try {
      const page = await this.#options.load(after, signal);
      if (!signal.aborted) this.#show(page);
    } catch (error) {
      if (isAborted(error) || signal.aborted) return;
      fill(this.when);
      fill(this.node, failed(error, () => this.again()));
    }
  }

  #show(page: Page): void {
    const { caption, columns, none, loaded } = this.#options;
    fill(this.when, page.note ? `${page.note}, ` : null, `as of ${clock(Date.now())} `, button("Read again", () => this.again(), "as-link"));
    const turns = [
      this.#before.length > 0 ? button("Page before", () => void this.#read(this.#before.pop() ?? null)) : null,
      page.next === null ? null : button("Next page", () => this.#next(page.next as string)),
    ];
    fill(this.node,
      page.partial ? h("p", { class: "banner" }, `Not in it: what is on ${page.missing?.join(", ") ?? "nodes that did not answer"}.`) : null,
      page.rows.length > 0 ? table(caption, columns, page.rows) : none(),
      turns.some((turn) => turn !== null) ? h("div", { class: "more" }, turns) : null);
    loaded?.(page);
  }

  #next(after: string): void {
    this.#before.push(this.#after);
    void this.#read(after);
  }
}
