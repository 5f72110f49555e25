// The sessions with the longest queues. Their figures move; the rows do not: others take their places when the operator says so,
// or when none of the old ones is behind any more.
import { classed, fill, h, say } from "../dom.js";
import { bytes, clock, count, millis, span } from "../format.js";
import type { Model } from "../model.js";
import { button, type Column, empty, row, sessionLink, groupLink, userLink } from "../parts.js";
import { href } from "../route.js";
import { Gauge } from "../spark.js";
import type { BehindRow } from "../wire.js";

const ROWS = 8;
const COLUMNS: Column[] = [
  { name: "User", class: "cut user" }, { name: "Session", late: true }, { name: "Group", late: true, class: "cut group" },
  { name: "Waits", number: true, class: "waits" }, { name: "For", number: true, late: true }, { name: "Round trip", number: true },
];

interface Shown {
  row: HTMLElement;
  bar: Gauge;
  waits: Text;
  since: Text;
  trip: Text;
}

export class Furthest {
  #model: Model;
  #shown = new Map<string, Shown>();
  #body = h("tbody");
  #table = h("table", { hidden: true }, h("caption", { class: "unseen" }, "Furthest behind"), h("thead", null, h("tr", null, COLUMNS.map(({ name, number, late }) =>
    h("th", { scope: "col", class: [number && "number", late && "late"].filter(Boolean).join(" ") || null }, name)))), this.#body);
  #none = h("div", null, empty("No session is behind: each socket takes what it is sent."));
  #hint = h("span", { class: "hint" });
  #all = h("a", { href: href("sessions", [], { behind: "1" }), hidden: true });
  #again = button("Others are behind now: show them", () => this.#take(), "as-link");
  readonly node: HTMLElement;

  constructor(model: Model) {
    this.#model = model;
    this.#again.hidden = true;
    this.node = h("section", null,
      h("div", { class: "title" }, h("h2", null, "Furthest behind"), this.#hint, h("span", { class: "right" }, this.#all)), this.#table, this.#none,
      h("p", { class: "small more" }, this.#again));
  }

  draw(): void {
    const event = this.#model.behind;
    if (!event) return;
    const now = new Map(event.sessions.map((session) => [session.session, session]));
    if (![...this.#shown.keys()].some((session) => now.has(session))) this.#take();
    for (const [session, shown] of this.#shown) this.#write(shown, now.get(session), event.unix_ms);
    const first = event.sessions.slice(0, ROWS);
    this.#again.hidden = first.every(({ session }) => this.#shown.has(session));
    const bound = this.#model.hello?.bounds?.outbox_bytes;
    say(this.#hint, event.sessions.length === 0 ? `as of ${clock(event.unix_ms)}` : `by bytes that wait${bound ? `; the bound is ${bytes(bound)} each` : ""}`);
    this.#all.hidden = event.behind === 0;
    say(this.#all, `All ${count(event.behind)}`);
  }

  /** The rows of now, in the order of now. */
  #take(): void {
    const sessions = this.#model.behind?.sessions.slice(0, ROWS) ?? [];
    this.#shown = new Map(sessions.map((session) => [session.session, this.#make(session)]));
    fill(this.#body, [...this.#shown.values()].map(({ row }) => row));
    this.#table.hidden = sessions.length === 0;
    this.#none.hidden = sessions.length > 0;
    this.#again.hidden = true;
    for (const session of sessions) this.#write(this.#shown.get(session.session) as Shown, session, this.#model.behind?.unix_ms ?? 0);
  }

  #make({ app, session, user, groups, groups_more }: BehindRow): Shown {
    const [waits, since, trip, bar] = [document.createTextNode(""), document.createTextNode(""), document.createTextNode(""), new Gauge()];
    const [group] = groups;
    const further = groups.length - 1 + groups_more;
    const tr = row(COLUMNS, [
      user === null ? sessionLink(app, session, "no user") : userLink(app, user), h("span", { class: "mono" }, sessionLink(app, session)),
      group === undefined ? "—" : [groupLink(app, group), further > 0 ? ` +${further}` : null],
      [h("span", { class: "late" }, bar.node), h("span", { class: "strong" }, waits)], since, trip,
    ]);
    return { row: tr, bar, waits, since, trip };
  }

  #write({ row: tr, bar, waits, since, trip }: Shown, session: BehindRow | undefined, now: number): void {
    classed(tr, "gone-row", session === undefined);
    bar.draw(session ? session.queued_bytes / (this.#model.hello?.bounds?.outbox_bytes || 1_048_576) : 0);
    say(waits, session ? bytes(session.queued_bytes) : "has read all");
    say(since, session ? span(now - session.behind_since_unix_ms) : "—");
    say(trip, session ? (session.round_trip_us === null ? "—" : `${millis(session.round_trip_us)} ms`) : "—");
  }
}
