// How busy each reactor is, beside the others.
import { attribute, h, say } from "../dom.js";
import { count, millis, percent } from "../format.js";
import type { Model } from "../model.js";
import { section } from "../parts.js";
import { Spark } from "../spark.js";

export class Reactors {
  #model: Model;
  #list = h("ol", { class: "reactors" });
  #cells: { value: HTMLElement; sessions: HTMLElement; p99: HTMLElement; spark: Spark }[] = [];
  readonly node: HTMLElement;

  constructor(model: Model) {
    this.#model = model;
    this.node = section("Reactors", "share of the time that is busy, last hour; p99 of a turn", null, this.#list);
    this.node.classList.add("gap");
    (this.node.querySelector("h2") as HTMLElement).tabIndex = -1;
  }

  focus(): void {
    const title = this.node.querySelector("h2") as HTMLElement;
    title.scrollIntoView({ block: "start" });
    title.focus({ preventScroll: true });
  }

  draw(moved: boolean, marked: number | undefined): void {
    const rows = this.#model.tick?.reactors;
    if (!rows) return;
    while (this.#cells.length < rows.busy.length) this.#add();
    this.#cells.forEach(({ value, sessions, p99, spark }, at) => {
      say(value, `${percent(rows.busy[at] ?? 0)} %`);
      attribute(value, "class", at === marked ? "value look" : "value");
      say(sessions, `${count(rows.sessions[at] ?? 0)} sessions`);
      say(p99, `p99 ${millis(rows.turn_p99_us[at] ?? null)} ms`);
      if (moved) spark.draw(this.#model.columns.whole(`reactor.${at}`), at === marked ? "look" : "", [0, 1]);
    });
  }

  #add(): void {
    const [value, sessions, p99, spark] = [h("p", { class: "value" }), h("p"), h("p"), new Spark()];
    this.#list.append(h("li", { class: "live" }, h("h3", { class: "of" }, `Reactor ${this.#cells.length}`), value, spark.node, sessions, p99));
    this.#cells.push({ value, sessions, p99, spark });
  }
}
