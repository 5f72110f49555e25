// The first screen: the verdict, at most three findings, six figures, and what stands behind them. All of it is the stream.
import type { Context, Screen } from "../context.js";
import { markers, whatChanged } from "../changes.js";
import { attribute, dotted, fill, h, say } from "../dom.js";
import { Figures } from "../figures.js";
import { leads, rest } from "../findings.js";
import { digits, minute, plural, span, when } from "../format.js";
import { icon } from "../icons.js";
import type { Model, Update } from "../model.js";
import { heading, section } from "../parts.js";
import { Plot } from "../plot.js";
import { href } from "../route.js";
import { Furthest } from "./furthest.js";
import { Reactors } from "./reactors.js";
import type { Tone } from "../spark.js";
import type { Topic, Verdict } from "../verdict.js";

const REASONS: [string, string][] = [
  ["closed", "the session ended before the message was written, by its client or because its queue was full (4003)"],
  ["expired", "its time to live ran out while it waited for a socket that took nothing"],
  ["dropped", "a queue was full: of a session, which the app's slow policy rules, or of a reactor"],
  ["offline", "nobody of that name had a session; it counts as no loss"],
];

class Overview implements Screen {
  title = "Overview";
  #model: Model;
  #heading = h("span");
  #under = h("p", { class: "under" });
  #findings = h("div", { class: "found" });
  #spoken = false;
  #key = "";
  #figures: Figures;
  #latency: Plot | null = null;
  #lost: Plot | null = null;
  #furthest: Furthest;
  #changes = h("ol", { class: "changes" });
  #changed = "";
  #reactors: Reactors | null = null;
  #reasons = h("dl", { class: "facts", hidden: true, tabindex: -1 }, REASONS.map(([name, means]) => h("div", null, h("dt", null, name), h("dd", { class: "second" }, means))));
  readonly node: HTMLElement;
  #announce: (words: string) => void;

  constructor({ model, announce }: Context) {
    this.#model = model;
    this.#announce = announce;
    this.#figures = new Figures(model);
    this.#furthest = new Furthest(model);
    const whole = model.hello?.scope !== "apps";
    const top = heading(this.#heading);
    top.append(this.#under);
    this.node = h("div", null, top, this.#findings, this.#figures.node, whole ? this.#plots() : null,
      h("div", { class: "split wide" }, this.#furthest.node,
        whole ? section("What changed", null, h("a", { href: href("operations") }, "Audit trail"), this.#changes) : null),
      whole ? this.#addReactors() : null);
    this.update({ kind: "history", moved: true, restarted: false });
    this.#furthest.draw();
    this.#drawChanges();
  }

  #plots(): HTMLElement {
    this.#latency = new Plot({
      title: "Push to write", hint: "ms, last hour, logarithmic", logarithmic: true, write: digits,
      lines: [{ name: "p99.9", tone: "violet", dash: "2 3" }, { name: "p99", tone: "orange", width: 2 }, { name: "p50", tone: "blue" }],
    });
    const means = h("button", { type: "button", class: "as-link", "aria-expanded": "false", onclick: () => this.#showReasons(this.#reasons.hidden, means) }, "What the reasons mean");
    this.#lost = new Plot({
      title: "Not delivered", hint: "messages a second, by reason", write: digits, right: means,
      lines: [{ name: "closed", tone: "orange", width: 2 }, { name: "expired", tone: "blue", dash: "6 3" }, { name: "dropped", tone: "violet", dash: "2 3" }, { name: "offline", tone: "grey" }],
    });
    return h("div", null, h("div", { class: "split" }, this.#latency.node, this.#lost.node), this.#reasons);
  }

  #showReasons(show: boolean, toggle?: Element): void {
    this.#reasons.hidden = !show;
    attribute(toggle ?? (this.#lost?.node.querySelector("[aria-expanded]") as Element), "aria-expanded", String(show));
    if (show) this.#reasons.focus();
  }

  #addReactors(): HTMLElement {
    this.#reactors = new Reactors(this.#model);
    return this.#reactors.node;
  }

  update({ kind, moved }: Update): void {
    if (kind === "behind") this.#furthest.draw();
    if (kind === "change") this.#drawChanges();
    if (kind !== "tick" && kind !== "history") return;
    const verdict = this.#model.verdict();
    this.#model.forget(verdict.all);
    this.#drawVerdict(verdict);
    const levels = new Map<Topic, Tone>(verdict.all.map(({ topic, level }) => [topic, level]));
    this.#figures.draw(levels, moved);
    this.#reactors?.draw(moved, verdict.all.find(({ topic }) => topic === "reactor")?.reactor);
    if (!moved) return;
    this.#drawPlots();
    this.#drawChanges();
  }

  #drawVerdict(verdict: Verdict): void {
    const { hello, tick } = this.#model;
    const words = this.#model.live ? verdict.heading : "Reading how the server is.";
    if (this.#heading.textContent !== words) {
      if (this.#spoken) this.#announce(words);
      this.#spoken = this.#model.live;
      say(this.#heading, words);
    }
    const parts = [this.#model.serverName, hello?.version, hello?.reactors ? plural(hello.reactors, "reactor") : null, `up ${span(this.#model.now - (hello?.started_unix_ms ?? 0))}`, !this.#model.live ? null : tick?.ready === false ? "not ready" : "ready"];
    const under = parts.join("\n");
    if (this.#under.dataset.is !== under) {
      this.#under.dataset.is = under;
      fill(this.#under, dotted(...parts));
    }
    this.#drawFindings(verdict);
  }

  /** The findings are made anew only where another sentence is there; figures in a sentence change with it. */
  #drawFindings({ findings, level }: Verdict): void {
    const situation = this.#model.situation();
    const rows = findings.map((finding) => ({ finding, rest: rest(finding, this.#model), since: minute(this.#model.sinceWhen(finding, situation)), link: leads(finding, this.#model) }));
    const key = JSON.stringify(rows.map(({ finding, since, link }) => [finding.topic, finding.level, since, link]));
    if (key !== this.#key) {
      this.#key = key;
      const list = rows.map(({ finding, since, link }) => h("li", { class: finding.level === "act" ? "is-act" : null },
        icon(finding.level === "act" ? "stop" : "warning"),
        h("span", { class: "what" }, h("span", { class: "unseen" }, finding.level === "act" ? "Act: " : "Look: "), h("strong"), h("span")),
        h("span", { class: "since" }, `since ${since}`), h("span", { class: "link" }, this.#link(link))));
      fill(this.#findings, findings.length ? h("ol", { class: level === "act" ? "findings act-now" : "findings", "aria-label": "Findings" }, list) : null);
    }
    const places = this.#findings.querySelectorAll(".what");
    rows.forEach(({ finding, rest: words }, at) => {
      say(places[at]?.querySelector("strong") as Element, finding.lead);
      say(places[at]?.lastElementChild as Element, words);
    });
  }

  #link(link: ReturnType<typeof leads>): Node | null {
    if (!link) return null;
    if (link.href) return h("a", { href: link.href }, link.words);
    const go = () => (link.part === "reasons" ? this.#showReasons(true) : this.#reactors?.focus());
    return h("button", { type: "button", class: "as-link", onclick: go }, link.words);
  }

  #drawPlots(): void {
    const { columns } = this.#model;
    const marks = markers(this.#model);
    const inMillis = (name: string) => columns.whole(name).map((us) => (us === null ? null : us / 1000));
    const times = columns.wholeTimes;
    const padded = (values: (number | null)[]) => (values.length === times.length ? values : Array<null>(times.length).fill(null));
    this.#latency?.draw(times, ["p999", "p99", "p50"].map((name) => padded(inMillis(`push_to_write_${name}_us`))), marks);
    this.#lost?.draw(times, ["closed", "expired", "dropped", "offline"].map((name) => padded(columns.rates(`deliveries.${name}`))), marks);
  }

  #drawChanges(): void {
    const told = whatChanged(this.#model, 6);
    const key = JSON.stringify(told);
    if (key === this.#changed) return;
    this.#changed = key;
    const now = this.#model.now;
    fill(this.#changes, told.length === 0 ? h("li", null, h("span", { class: "third" }, "—"), h("span", { class: "second" }, "Nothing since the server started.")) : told.map(({ at, what, more }) =>
      h("li", null, h("time", { datetime: new Date(at).toISOString(), title: when(at, now) }, now - at < 86_400_000 ? minute(at) : when(at, now).replace(/ \S+$/, "")),
        h("div", null, h("p", null, what), more ? h("p", { class: "small" }, more) : null))));
  }


  close(): void {
    this.#latency?.close();
    this.#lost?.close();
  }
}

export const overview = (context: Context): Screen => new Overview(context);
