// What is known of a session, in a list whose figures move and whose entries do not.
import { type Child, fill, h, say } from "../../dom.js";
import { bytes, clock, millis, plural, span, when } from "../../format.js";
import { groupLink } from "../../parts.js";
import { Gauge } from "../../spark.js";
import type { Session } from "../../wire.js";

/** What may be done with a group or tag of the session, or nothing. */
export interface Chips {
  leave: ((group: string) => void) | null;
  untag: ((tag: string) => void) | null;
}

export class Facts {
  #waits = h("dd", { class: "live" });
  #bar = new Gauge();
  #trip = h("dd", { class: "live" });
  #flow = h("dd", { class: "live" });
  #connected = h("dd");
  #address = h("dd");
  #reactor = h("dd");
  #groups = h("dd");
  #tags = h("dd");
  #more: HTMLElement[] = [];
  #chips: Chips;
  #shape = "";
  #last: { at: number; session: Session } | null = null;
  readonly node: HTMLElement;

  constructor(chips: Chips) {
    this.#chips = chips;
    const fact = (name: string, ...value: Child[]) => h("div", null, h("dt", null, name), value);
    this.node = h("dl", { class: "facts" },
      h("div", null, h("dt", null, "Waits"), this.#waits), fact("Round trip", this.#trip), fact("Out, in", this.#flow), fact("Connected", this.#connected),
      fact("Address", this.#address), fact("Reactor", this.#reactor), fact("Groups", this.#groups), fact("Tags", this.#tags));
    const text = h("span");
    this.#waits.append(text, this.#bar.node);
  }

  draw(session: Session, now: number, bound: number): void {
    say(this.#waits.firstChild as Node, session.queued_messages === 0 ? "nothing" : `${plural(session.queued_messages, "message")}, ${bytes(session.queued_bytes)}`);
    this.#bar.draw(session.queued_bytes / bound);
    say(this.#trip, session.round_trip_us === null ? "no Pong yet" : `${millis(session.round_trip_us)} ms`);
    say(this.#flow, this.#rates(session, now));
    say(this.#connected, `${when(session.since_unix_ms, now)}, for ${span(now - session.since_unix_ms)}`);
    say(this.#address, session.remote);
    say(this.#reactor, session.reactor === undefined ? "—" : String(session.reactor));
    const shape = JSON.stringify([session.groups, session.tags, session.claims, session.params]);
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.#draw(session);
  }

  /** Bytes a second since the last time, or of its whole life. */
  #rates(session: Session, now: number): string {
    const last = this.#last;
    this.#last = { at: now, session };
    const since = last ?? { at: session.since_unix_ms, session: { bytes_out: 0, bytes_in: 0 } };
    const seconds = Math.max(1, now - since.at) / 1000;
    return [session.bytes_out - since.session.bytes_out, session.bytes_in - since.session.bytes_in].map((n) => `${bytes(Math.max(0, n) / seconds)}/s`).join(", ");
  }

  #draw({ app, groups, tags, claims, params }: Session): void {
    const chips = (names: string[], show: (name: string) => Child, word: string, undo: ((name: string) => void) | null) =>
      names.length === 0 ? "none" : h("div", { class: "chips" }, names.map((name) => h("span", { class: "chip" }, show(name),
        undo ? h("button", { type: "button", "aria-label": `${word} ${name}`, onclick: () => undo(name) }, "×") : null)));
    fill(this.#groups, chips(groups, (name) => groupLink(app, name), "Leave", this.#chips.leave));
    fill(this.#tags, chips(tags, (name) => name, "Untag", this.#chips.untag));
    for (const node of this.#more) node.remove();
    this.#more = Object.entries({ Claims: claims, Parameters: params }).filter(([, shown]) => shown && Object.keys(shown).length > 0).map(([name, shown]) =>
      h("div", null, h("dt", null, name), h("dd", { class: "mono" }, Object.entries(shown ?? {}).map(([key, value]) => h("div", null, `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)))));
    this.node.append(...this.#more);
  }
}

/** The line below the name. */
export function state(session: Session, now: number, bound: number): string {
  const since = session.behind_since_unix_ms;
  if (session.away) return "away: its client may come back";
  if (since === null || since === undefined) return "reads all that it is sent";
  return `behind since ${now - since < 86_400_000 ? clock(since).slice(0, 5) : when(since, now)}, ${Math.round((session.queued_bytes / bound) * 100)} % of its queue is full`;
}
