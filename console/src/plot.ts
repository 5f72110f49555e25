// A plot over time, as SVG, so that the sheet colours it: with a legend above it and a table behind it. The lines differ by colour,
// dash and weight; under the pointer the legend has the values of that time.
import { attribute, fill, h, say, svg } from "./dom.js";
import { clock, minute } from "./format.js";
import { linePath, tenths } from "./path.js";
import { linear, logarithmic, type Scale, timeTicks } from "./scale.js";

export interface Line {
  name: string;
  tone: "orange" | "blue" | "violet" | "grey";
  dash?: string;
  width?: number;
  /** The area below it is filled. */
  filled?: boolean;
}

export interface Marker {
  at: number;
  what: string;
}

export interface PlotOptions {
  title: string;
  hint: string;
  lines: Line[];
  write: (value: number) => string;
  logarithmic?: boolean;
  low?: boolean;
  legend?: boolean;
  right?: Node;
}

type Values = (number | null)[];

/** What is left free around the lines: for the words of markers, of times and of values. */
const AROUND = { top: 24, right: 8, bottom: 24, left: 40 };
/** A word of a marker takes about so much for a letter. */
const LETTER = 6.5;

export class Plot {
  #options: PlotOptions;
  #times: number[] = [];
  #values: Values[] = [];
  #markers: Marker[] = [];
  #now: HTMLElement[] = [];
  #height: number;
  #width = 0;
  #grid = svg("g", { class: "grid" });
  #clock = svg("g", { class: "grid" });
  /** What the grid shows. */
  #scaled = "";
  #lines: { line: SVGElement; area: SVGElement | null }[];
  #marks = svg("g", { class: "marks" });
  #cursor = svg("g", { class: "cursor" });
  #svg: SVGElement;
  #hint: HTMLElement;
  #canvas: HTMLElement;
  #table = h("div", { class: "scroll behind-plot", hidden: true, tabindex: 0, role: "region" });
  #toggle: HTMLButtonElement;
  #resized: ResizeObserver;
  #seen: IntersectionObserver;
  #isSeen = false;
  /** What is painted is not what was drawn last. */
  #isOld = false;
  #frame = 0;
  readonly node: HTMLElement;

  constructor(options: PlotOptions) {
    this.#options = options;
    this.#height = options.low ? 148 : 212;
    this.#lines = options.lines.map(({ tone, dash, width, filled }) => ({
      area: filled ? svg("path", { class: "area" }) : null,
      line: svg("path", { class: `line tone-${tone}`, "stroke-dasharray": dash, "stroke-width": width ?? 1.5 }),
    }));
    this.#svg = svg("svg", { width: "100%", height: this.#height, "aria-hidden": "true", focusable: "false", onpointermove: (event: PointerEvent) => this.#point(event), onpointerleave: () => this.#point(null) },
      this.#grid, this.#clock, this.#lines.flatMap(({ area, line }) => [area, line]), this.#marks, this.#cursor);
    this.#canvas = h("div", { class: "canvas", role: "img" }, this.#svg);
    this.#hint = h("span", { class: "hint" }, options.hint);
    attribute(this.#table, "aria-label", `${options.title} as a table`);
    this.#toggle = h("button", { type: "button", class: "as-link", "aria-pressed": "false", onclick: () => this.#show() }, "Table", h("span", { class: "unseen" }, ` of ${options.title}`));
    const legend = options.lines.map((line) => {
      const now = h("b");
      this.#now.push(now);
      return h("li", null, sample(line), line.name, " ", now);
    });
    const isAlone = options.legend === false;
    this.node = h("section", { class: "plot" },
      h("div", { class: "title" }, h("h2", null, options.title), this.#hint, h("span", { class: "right" }, options.right ?? (isAlone ? this.#toggle : null))),
      isAlone ? null : h("ul", { class: "legend live" }, legend, h("li", { class: "table" }, this.#toggle)),
      this.#canvas, this.#table);
    this.#resized = new ResizeObserver(() => this.#size());
    this.#resized.observe(this.#canvas);
    this.#seen = new IntersectionObserver((entries) => this.#see(entries.at(-1)?.isIntersecting === true), { rootMargin: "200px" });
    this.#seen.observe(this.#canvas);
  }

  /** Shows other values: `times` in Unix milliseconds, and as many values for each line. */
  draw(times: number[], values: Values[], markers: Marker[] = []): void {
    [this.#times, this.#values, this.#markers] = [times, values, markers];
    const last = values.map((line) => line.findLast((value) => value !== null) ?? null);
    this.#legend(last);
    const words = this.#options.lines.map(({ name }, at) => `${name} ${this.#write(last[at])}`);
    attribute(this.#canvas, "aria-label", `${this.#options.title}, ${this.#options.hint}. Now: ${words.join(", ")}.`);
    this.#isOld = true;
    this.#paintSoon();
    if (!this.#table.hidden) this.#fillTable();
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#resized.disconnect();
    this.#seen.disconnect();
  }

  /** What is not in view is painted when it comes near it. */
  #see(isSeen: boolean): void {
    this.#isSeen = isSeen;
    this.#paintSoon();
  }

  /** With the next frame: who types or scrolls does not wait for the tick and for the lines in one. */
  #paintSoon(): void {
    if (!this.#isSeen || !this.#isOld) return;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #write = (value: number | null | undefined): string => (value === null || value === undefined ? "—" : this.#options.write(value));

  #legend(values: Values): void {
    if (this.#options.legend !== false) values.forEach((value, at) => say(this.#now[at] as HTMLElement, this.#write(value)));
  }

  #size(): void {
    const width = this.#canvas.clientWidth;
    if (width === this.#width) return;
    this.#width = width;
    this.#paint();
  }

  #scale(): Scale {
    const known = this.#values.flat().filter((value) => value !== null && (!this.#options.logarithmic || value > 0)) as number[];
    const largest = known.reduce((a, b) => Math.max(a, b), 0);
    return this.#options.logarithmic ? logarithmic(known.reduce((a, b) => Math.min(a, b), largest || 0.1), largest || 10) : linear(largest, this.#options.low ? 2 : 4);
  }

  /** Where the times lie. Less than a minute of them is not spread over the whole width. */
  #x(): { from: number; to: number; at: (time: number) => number } {
    const to = this.#times.at(-1) ?? 0;
    const from = Math.min(this.#times[0] ?? to, to - 60_000);
    const inner = this.#width - AROUND.left - AROUND.right;
    return { from, to, at: (time) => AROUND.left + ((time - from) / (to - from)) * inner };
  }

  #paint(): void {
    this.#isOld = false;
    if (this.#width === 0 || this.#times.length === 0) return;
    const [x, scale] = [this.#x(), this.#scale()];
    const inner = this.#height - AROUND.top - AROUND.bottom;
    const y = (value: number) => AROUND.top + (1 - scale.at(value)) * inner;
    const right = this.#width - AROUND.right;
    const ticks = timeTicks(x.from, x.to, Math.max(2, Math.floor(this.#width / 110)));
    this.#drawGrid(scale.ticks, y, right);
    fill(this.#clock, ticks.at.map((time) => svg("text", { x: Math.min(Math.max(x.at(time), AROUND.left + 16), right - 16).toFixed(1), y: this.#height - 6, "text-anchor": "middle" }, ticks.seconds ? clock(time) : minute(time))));
    const places = this.#times.map((time) => tenths(x.at(time)));
    this.#lines.forEach(({ line, area }, at) => {
      const values = (this.#values[at] ?? []).map((value) => (value === null || (this.#options.logarithmic && value <= 0) ? null : tenths(y(value))));
      attribute(line, "d", linePath(places, values));
      if (area) attribute(area, "d", linePath(places, values, this.#height - AROUND.bottom));
    });
    this.#mark(x.at, right);
  }

  /** The lines of the values, which stay until the scale is another one. */
  #drawGrid(ticks: number[], y: (value: number) => number, right: number): void {
    const scaled = [right, ...ticks.map((tick) => `${tick} ${tenths(y(tick))}`)].join();
    if (scaled === this.#scaled) return;
    this.#scaled = scaled;
    fill(this.#grid, ticks.map((tick) => [
      svg("line", { x1: AROUND.left, x2: right, y1: crisp(y(tick)), y2: crisp(y(tick)) }),
      svg("text", { x: AROUND.left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en-US")),
    ]));
  }

  /** A dashed line and a word for each thing that happened; a word that would be on another is left out. */
  #mark(x: (time: number) => number, right: number): void {
    const marks: SVGElement[] = [];
    let free = 0;
    for (const { at, what } of this.#markers) {
      const place = crisp(x(at));
      if (place < AROUND.left || place > right) continue;
      marks.push(svg("line", { x1: place, x2: place, y1: AROUND.top - 4, y2: this.#height - AROUND.bottom }));
      const words = `${what} ${minute(at)}`;
      const wide = words.length * LETTER;
      const end = Math.max(place - 4, AROUND.left + wide);
      if (end - wide < free) continue;
      marks.push(svg("text", { x: end, y: AROUND.top - 8, "text-anchor": "end" }, words));
      free = end;
    }
    fill(this.#marks, marks);
  }

  /** What was when the pointer points. */
  #point(event: PointerEvent | null): void {
    fill(this.#cursor);
    const { hint } = this.#options;
    if (!event || this.#times.length === 0) {
      say(this.#hint, hint);
      return this.#legend(this.#values.map((line) => line.findLast((value) => value !== null) ?? null));
    }
    const x = this.#x();
    const pointed = event.clientX - this.#svg.getBoundingClientRect().left;
    const nearest = this.#times.reduce((best, time, at) => (Math.abs(x.at(time) - pointed) < Math.abs(x.at(this.#times[best] as number) - pointed) ? at : best), 0);
    const time = this.#times[nearest] as number;
    const place = crisp(x.at(time));
    fill(this.#cursor, svg("line", { x1: place, x2: place, y1: AROUND.top, y2: this.#height - AROUND.bottom }));
    const values = this.#values.map((line) => line[nearest] ?? null);
    this.#legend(values);
    say(this.#hint, `${hint.split(",")[0]}, at ${clock(time)}${this.#options.legend === false ? `: ${this.#write(values[0])}` : ""}`);
  }

  #show(): void {
    this.#table.hidden = !this.#table.hidden;
    attribute(this.#toggle, "aria-pressed", String(!this.#table.hidden));
    if (!this.#table.hidden) this.#fillTable();
  }

  /** The values, about one a minute, the newest first. */
  #fillTable(): void {
    const { lines, title } = this.#options;
    const step = Math.max(1, Math.floor(this.#times.length / 60));
    const rows = [];
    for (let at = this.#times.length - 1; at >= 0; at -= step) {
      rows.push(h("tr", null, h("td", null, clock(this.#times[at] as number)), this.#values.map((line) => h("td", { class: "number" }, this.#write(line[at])))));
    }
    fill(this.#table, h("table", null, h("caption", { class: "unseen" }, title),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), lines.map(({ name }) => h("th", { scope: "col", class: "number" }, name)))),
      h("tbody", null, rows)));
  }
}

/** The middle of a pixel, where a hairline is one. */
const crisp = (at: number): number => Math.floor(at) + 0.5;

function sample({ tone, dash, width }: Line): SVGElement {
  return svg("svg", { viewBox: "0 0 20 4", "aria-hidden": "true", focusable: "false" }, svg("line", { class: `tone-${tone}`, x1: 0, x2: 20, y1: 2, y2: 2, "stroke-dasharray": dash, "stroke-width": width ?? 1.5 }));
}
