// The six figures of the overview, each beside itself an hour ago.
import type { Columns } from "./columns.js";
import { attribute, h, say } from "./dom.js";
import { count, digits, type Figure, more, percent, rate, span, times, together } from "./format.js";
import type { Model } from "./model.js";
import { Spark, type Tone } from "./spark.js";
import type { Topic } from "./verdict.js";

interface Shown extends Figure {
  strong?: string;
  note: string;
}

interface Definition {
  name: string;
  /** The findings that colour it. */
  topics: Topic[];
  show(model: Model, ago: (column: string) => { value: number | null; words: string }): Shown;
  line(columns: Columns): (number | null)[];
  floats?: boolean;
}

const perSecond = (model: Model, n: number | undefined): number => ((n ?? 0) * 1000) / Math.max(1, model.tick?.ms ?? 1000);

/** What was not delivered of all that was due, in each interval. */
function lostShare(columns: Columns): (number | null)[] {
  const [queued, dropped, expired, closed] = ["queued", "dropped", "expired", "closed"].map((outcome) => columns.whole(`deliveries.${outcome}`));
  return (queued ?? []).map((n, at) => {
    const gone = (dropped?.[at] ?? 0) + (expired?.[at] ?? 0) + (closed?.[at] ?? 0);
    const due = (n ?? 0) + gone;
    return n === null || due === 0 ? null : gone / due;
  });
}

const average = (values: (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};

const SESSIONS: Definition = {
  name: "Sessions", topics: ["full"], floats: true,
  line: (columns) => columns.whole("sessions"),
  show: (model, ago) => {
    const { value, words } = ago("sessions");
    return { value: count(model.tick?.sessions ?? 0), unit: "", note: more(model.tick?.sessions ?? 0, value, count, words) };
  },
};

function flow(name: string, column: string, of: (model: Model) => number | undefined): Definition {
  return {
    name, topics: [],
    line: (columns) => columns.rates(column),
    show: (model, ago) => {
      const { value, words } = ago(column);
      const now = perSecond(model, of(model));
      const before = value === null ? null : (value * 1000) / model.columns.everyMs;
      return { ...rate(now), note: more(now, before, (n) => together(rate(n)), words) };
    },
  };
}

const P99: Definition = {
  name: "Push to write, p99", topics: ["p99"],
  line: (columns) => columns.whole("push_to_write_p99_us"),
  show: (model, ago) => {
    const now = model.p99();
    const { value, words } = ago("push_to_write_p99_us");
    if (now === null) return { value: "—", unit: "", note: "nothing was pushed" };
    const { strong, rest } = times(now, value, words);
    return { value: digits(now / 1000), unit: "ms", strong, note: rest };
  },
};

const LOST: Definition = {
  name: "Not delivered", topics: ["notDelivered"],
  line: lostShare,
  show: (model, ago) => {
    const share = model.once("lost share", () => lostShare(model.columns));
    const now = average(share.slice(-6));
    if (now === null) return { value: "—", unit: "", note: "nothing was due" };
    const { words, value } = ago("deliveries.queued");
    const { strong, rest } = times(now, value === null ? null : average(share.slice(0, 6)), words);
    return { value: percent(now), unit: "%", strong, note: rest };
  },
};

const BEHIND: Definition = {
  name: "Behind", topics: ["behind"],
  line: (columns) => columns.whole("behind"),
  show: (model, ago) => {
    const { value, words } = ago("behind");
    const now = model.tick?.behind ?? 0;
    return { value: count(now), unit: "", note: more(now, value, count, words) };
  },
};

const REFUSED: Definition = {
  name: "Refused", topics: ["refused"],
  line: (columns) => columns.rates("refused"),
  show: (model, ago) => {
    const { value, words } = ago("refused");
    const now = model.columns.minute("refused");
    const before = value === null ? null : (value * 60_000) / model.columns.everyMs;
    // What comes by chance comes now and then twice as often: only more than that is a change.
    return { value: count(now), unit: "/min", note: more(now, before, count, words, 2 * Math.sqrt(Math.max(now, before ?? 0))) };
  },
};

/** For a key that is limited to apps, what the stream has of them. */
const OF_APPS = [SESSIONS, flow("Opened", "opened", ({ tick }) => tick?.opened), flow("Messages in", "messages_in", ({ tick }) => tick?.messages_in), flow("Pushes", "pushes", ({ tick }) => tick?.pushes), BEHIND];
const OF_SERVER = [SESSIONS, flow("Messages out", "messages_out", ({ tick }) => tick?.messages_out), P99, LOST, BEHIND, REFUSED];

export class Figures {
  #model: Model;
  #shown: { definition: Definition; value: Text; unit: HTMLElement; strong: HTMLElement; note: Text; spark: Spark }[];
  readonly node: HTMLElement;

  constructor(model: Model) {
    this.#model = model;
    const cells: HTMLElement[] = [];
    this.#shown = (model.hello?.scope === "apps" ? OF_APPS : OF_SERVER).map((definition) => {
      const [value, note] = [document.createTextNode("—"), document.createTextNode("")];
      const [unit, strong, spark] = [h("span", { class: "unit" }), h("b"), new Spark()];
      cells.push(h("div", null, h("dt", null, definition.name), h("dd", { class: "live" }, h("span", { class: "value" }, value, unit), h("span", { class: "note" }, strong, note), spark.node)));
      return { definition, value, unit, strong, note, spark };
    });
    this.node = h("dl", { class: "figures" }, cells);
  }

  /** Writes the figures; the lines only if there is another interval. */
  draw(levels: Map<Topic, Tone>, moved: boolean): void {
    for (const { definition, value, unit, strong, note, spark } of this.#shown) {
      const shown = definition.show(this.#model, (column) => this.#ago(column));
      const tone = definition.topics.map((topic) => levels.get(topic)).find(Boolean) ?? "";
      // "+309 in an hour": of what needs looking at, how much stands out.
      const [, much = "", after = ""] = /^([+−][^ ]+(?: [kM]?\/s)?)( in .*)$/.exec(shown.note) ?? [];
      const stands = tone && !shown.strong && much !== "";
      say(value, shown.value);
      say(unit, shown.unit);
      say(strong, shown.strong ? shown.strong : stands ? much : "");
      say(note, shown.strong ? ` ${shown.note}` : stands ? after : shown.note);
      attribute(strong, "class", tone || null);
      if (moved) spark.draw(definition.line(this.#model.columns), tone, definition.floats ? "floats" : "zero");
    }
  }

  /** A column about an hour ago; of a server that is younger, as far back as it goes. */
  #ago(column: string): { value: number | null; words: string } {
    const { value, backMs } = this.#model.before(column);
    return { value, words: backMs >= 3_540_000 ? "an hour" : span(backMs) };
  }
}
