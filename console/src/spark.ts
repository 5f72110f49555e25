// A line of a few dozen values without axes, beside a figure.
import { attribute, svg } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 28;

/** What is at the bottom and at the top: zero and the largest value, the smallest and the largest, or two values. */
export type Range = "zero" | "floats" | [bottom: number, top: number];
export type Tone = "" | "look" | "act";

/** The values in at most `points` means, so that a line an inch wide has no more corners than it can show. */
export function condense(values: readonly (number | null)[], points = 90): (number | null)[] {
  if (values.length <= points) return [...values];
  return Array.from({ length: points }, (_, at) => {
    const to = Math.floor(((at + 1) * values.length) / points);
    let [sum, known] = [0, 0];
    for (let index = Math.floor((at * values.length) / points); index < to; index += 1) {
      const value = values[index] ?? null;
      if (value === null) continue;
      sum += value;
      known += 1;
    }
    return known ? sum / known : null;
  });
}

/** The path through some values; where one is missing the line is too. */
export function sparkPath(values: readonly (number | null)[], range: Range = "zero"): { line: string; area: string } {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return { line: "", area: "" };
  const largest = Math.max(...known);
  const [bottom, top] = range === "zero" ? [0, largest] : range === "floats" ? [Math.min(...known), largest] : range;
  // A line that floats and hardly moves is not made to look as if it did.
  const reach = Math.max(top - bottom, range === "floats" ? top * 0.01 : 0) || 1;
  const x = (at: number) => ((at * WIDTH) / (values.length - 1)).toFixed(1);
  let [line, area, from] = ["", "", -1];
  values.forEach((value, at) => {
    if (value === null) {
      if (from >= 0) area += `L${x(at - 1)} ${HEIGHT}L${x(from)} ${HEIGHT}Z`;
      from = -1;
      return;
    }
    const y = (HEIGHT - 1 - ((value - bottom) / reach) * (HEIGHT - 3)).toFixed(1);
    const step = `${from < 0 ? "M" : "L"}${x(at)} ${y}`;
    line += step;
    area += step;
    if (from < 0) from = at;
  });
  if (from >= 0) area += `L${WIDTH} ${HEIGHT}L${x(from)} ${HEIGHT}Z`;
  return { line, area };
}

export class Spark {
  readonly #area = svg("path", { class: "area" });
  readonly #line = svg("path", { class: "line" });
  readonly node = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, this.#area, this.#line);

  draw(values: readonly (number | null)[], tone: Tone = "", range: Range = "zero"): void {
    const { line, area } = sparkPath(condense(values), range);
    attribute(this.#area, "d", area);
    attribute(this.#line, "d", line);
    attribute(this.node, "class", tone ? `spark ${tone}` : "spark");
  }
}

/** How full something is, as a bar; ochre from half of its bound on. */
export class Gauge {
  readonly #fill = svg("rect", { class: "fill", width: "0", height: "100%" });
  readonly node = svg("svg", { class: "gauge", "aria-hidden": "true", focusable: "false" }, svg("rect", { class: "track", width: "100%", height: "100%" }), this.#fill);

  draw(share: number): void {
    attribute(this.#fill, "width", `${(Math.min(1, Math.max(0, share)) * 100).toFixed(1)}%`);
    attribute(this.#fill, "class", share >= 0.4 ? "fill look" : "fill");
  }
}
