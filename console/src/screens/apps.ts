// The same figures by app. The rows stay where they are; their figures move with the stream.
import type { Context, Screen } from "../context.js";
import { fill, h, say } from "../dom.js";
import { count, rate, together } from "../format.js";
import type { Model, Update } from "../model.js";
import { type Column, empty, heading, row } from "../parts.js";
import { href } from "../route.js";
import { Spark } from "../spark.js";
import type { AppRow } from "../wire.js";

const MOST_ROWS = 500;
const COLUMNS: Column[] = [
  { name: "App" }, { name: "Sessions", number: true, class: "strong" }, { name: "last hour", late: true, class: "spark-cell" }, { name: "Behind", number: true },
  { name: "Opened", number: true, late: true }, { name: "Refused", number: true, late: true }, { name: "Messages in", number: true, late: true }, { name: "Pushes", number: true, late: true }, { name: "Queued", number: true, late: true },
];
const SHOWN: [keyof AppRow, boolean][] = [["sessions", false], ["behind", false], ["opened", true], ["refused", true], ["messages_in", true], ["pushes", true], ["queued", true]];

class Apps implements Screen {
  title = "Apps";
  #model: Model;
  #body = h("tbody");
  #rows = new Map<string, { cells: Text[]; spark: Spark }>();
  readonly node: HTMLElement;

  constructor({ model }: Context) {
    this.#model = model;
    this.node = h("div", null, heading("Apps", "The figures of each, as they come."),
      h("table", null, h("caption", { class: "unseen" }, "Apps"), h("thead", null, h("tr", null, COLUMNS.map(({ name, number, late }) => h("th", { scope: "col", class: [number && "number", late && "late"].filter(Boolean).join(" ") || null }, name)))), this.#body));
    this.update({ kind: "history", moved: true, restarted: false });
  }

  update({ kind, moved }: Update): void {
    if (kind === "hello" || this.#rows.size === 0) this.#make();
    if (kind === "behind" || kind === "change") return;
    for (const [app, { cells, spark }] of this.#rows) {
      const now = this.#model.apps.get(app);
      SHOWN.forEach(([name, isRate], at) => {
        const n = now?.[name] ?? 0;
        say(cells[at] as Text, isRate ? together(rate((n * 1000) / Math.max(1, this.#model.tick?.ms ?? 1000))) : count(n));
      });
      if (moved) spark.draw(this.#model.columns.whole(`app.${app}.sessions`), "", "floats");
    }
  }

  /** The rows, the largest app first. */
  #make(): void {
    const apps = [...this.#model.apps].sort(([a, { sessions: more }], [b, { sessions: less }]) => less - more || a.localeCompare(b)).slice(0, MOST_ROWS);
    this.#rows = new Map(apps.map(([app]) => [app, { cells: SHOWN.map(() => document.createTextNode("")), spark: new Spark() }]));
    fill(this.#body, [...this.#rows].map(([app, { cells: [sessions, ...others], spark }]) =>
      row(COLUMNS, [h("a", { href: href("sessions", [], { app }) }, app), sessions as Text, spark.node, ...others])));
    if (apps.length === 0) fill(this.#body, h("tr", null, h("td", { colspan: COLUMNS.length }, empty("The key may name no app."))));
  }
}

export const apps = (context: Context): Screen => new Apps(context);
