// One session: its facts every two seconds while it is seen, what it has done since the screen was opened, and what can be done to it.
import { del, get, inWords, isAborted, post, Refused } from "../api.js";
import { type Context, type Screen, whileSeen } from "../context.js";
import { dotted, fill, h, say } from "../dom.js";
import { clock } from "../format.js";
import type { Model } from "../model.js";
import { box, button, crumbs, empty, field, heading, input, resultPlace } from "../parts.js";
import { Plot } from "../plot.js";
import { pushForm } from "../pushform.js";
import { href } from "../route.js";
import type { Session } from "../wire.js";
import { Facts, state } from "./session/facts.js";
import { kickBox } from "./session/kick.js";
import { Recorder } from "./session/recorder.js";

const EVERY_MS = 2000;
/** An hour of them. */
const KEPT = 1800;

class SessionScreen implements Screen {
  title: string;
  #model: Model;
  #app: string;
  #id: string;
  #abort = new AbortController();
  #stop: () => void;
  #asking = false;
  #name = h("span");
  #under = h("p", { class: "under" });
  #state = h("span");
  #facts: Facts;
  #waits: Plot;
  #trip: Plot;
  #times: number[] = [];
  #values: [number | null, number | null][] = [];
  #recorder: Recorder | null;
  #actions = h("div", { class: "boxes" });
  #word = h("p", { class: "small act", role: "status" });
  readonly node: HTMLElement;

  constructor({ model, route }: Context) {
    const [app = "", id = ""] = route.of;
    [this.#model, this.#app, this.#id, this.title] = [model, app, id, id];
    const all = model.may("all");
    this.#facts = new Facts(all ? { leave: (group) => void this.#change("groups", group), untag: (tag) => void this.#change("tags", tag) } : { leave: null, untag: null });
    this.#waits = new Plot({ title: "Waits", hint: "KiB, since opened", low: true, legend: false, write: (n) => n.toLocaleString("en-US", { maximumFractionDigits: 1 }), lines: [{ name: "waits", tone: "orange", filled: true }] });
    this.#trip = new Plot({ title: "Round trip", hint: "ms, since opened", low: true, legend: false, write: (n) => n.toLocaleString("en-US", { maximumFractionDigits: 2 }), lines: [{ name: "round trip", tone: "blue", filled: true }] });
    this.#recorder = all ? new Recorder(app, id) : null;
    const top = heading(this.#name);
    fill(this.#under, dotted(h("span", { class: "mono" }, id), this.#state));
    top.append(this.#under);
    this.#fillActions();
    this.node = h("div", null, crumbs(h("a", { href: href("sessions", [], { app }) }, "Sessions"), app), top, this.#facts.node, this.#word,
      h("div", { class: "split forms" }, h("div", null, h("div", { class: "split" }, this.#waits.node, this.#trip.node), h("div", { class: "gap" }, this.#recorder?.node ?? null)), this.#actions));
    this.#stop = whileSeen(EVERY_MS, () => void this.#read());
    say(this.#name, id);
    void this.#read();
  }

  close(): void {
    this.#stop();
    this.#abort.abort();
    this.#recorder?.close();
    this.#waits.close();
    this.#trip.close();
  }

  #fillActions(): void {
    const [app, id] = [this.#app, this.#id];
    fill(this.#actions,
      this.#model.may("push") ? box("Push to this session", null, pushForm(() => ({ app, session: id })).fields) : null,
      this.#model.may("all") ? [this.#joinBox(), kickBox(app, id, () => void this.#read())] : null);
  }

  #joinBox(): HTMLElement {
    const [name, result] = [input(), resultPlace()];
    const add = async (what: "join" | "tag") => {
      if (name.value === "") return name.focus();
      try {
        if (what === "join") await post(["v1", "groups", name.value, "members"], { app: this.#app, session: this.#id });
        else await post(["v1", "sessions", this.#id, "tags"], { app: this.#app, tag: name.value });
        result.show({ text: what === "join" ? `It is in ${name.value}.` : `It has the tag ${name.value}.` });
        name.value = "";
        await this.#read();
      } catch (error) {
        result.fail(error);
      }
    };
    return box("Join or tag", null, h("div", { class: "fields" }, field("Group or tag", name, true), button("Join", () => void add("join")), button("Tag", () => void add("tag"))), result.node);
  }

  async #change(what: "groups" | "tags", name: string): Promise<void> {
    say(this.#word, "");
    try {
      if (what === "groups") await del(["v1", "groups", name, "members"], { app: this.#app, session: this.#id });
      else await del(["v1", "sessions", this.#id, "tags"], { app: this.#app, tag: name });
      await this.#read();
    } catch (error) {
      say(this.#word, inWords(error));
    }
  }

  async #read(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const session = await get<Session>(["v1", "sessions", this.#id], { app: this.#app }, this.#abort.signal);
      this.#draw(session);
    } catch (error) {
      if (!isAborted(error)) this.#failed(error);
    } finally {
      this.#asking = false;
    }
  }

  #draw(session: Session): void {
    const now = Math.max(this.#model.now, session.since_unix_ms);
    const bound = this.#model.hello?.bounds?.outbox_bytes || 1_048_576;
    say(this.#name, session.user ?? "no user");
    if (session.user !== null && this.#name.firstElementChild === null) {
      fill(this.#name, h("a", { class: "plain", href: href("user", [this.#app, session.user]) }, session.user));
    }
    this.title = session.user ?? this.#id;
    say(this.#state, state(session, now, bound));
    this.#facts.draw(session, now, bound);
    this.#note(Date.now(), [session.queued_bytes / 1024, session.round_trip_us === null ? null : session.round_trip_us / 1000]);
  }

  /** Shows what was asked for now. While nothing was, as in a hidden tab, there is no line. */
  #note(at: number, values: [number | null, number | null]): void {
    if (at - (this.#times.at(-1) ?? at) > 3 * EVERY_MS) {
      this.#times.push(at - EVERY_MS);
      this.#values.push([null, null]);
    }
    this.#times.push(at);
    this.#values.push(values);
    if (this.#times.length > KEPT) [this.#times, this.#values] = [this.#times.slice(-KEPT), this.#values.slice(-KEPT)];
    this.#waits.draw(this.#times, [this.#values.map(([waits]) => waits)]);
    this.#trip.draw(this.#times, [this.#values.map(([, trip]) => trip)]);
  }

  /** A session that has closed: the page stays, with what was known of it. */
  #failed(error: unknown): void {
    if (!(error instanceof Refused) || error.status !== 404) return say(this.#state, `${inWords(error)} The facts are old.`);
    this.#stop();
    this.#recorder?.close();
    const kick = this.#model.changes.find(({ op, target }) => op === "kick" && target?.includes(this.#id));
    say(this.#state, this.#times.length > 0 ? `closed${kick ? ` at ${clock(kick.at_unix_ms)}, by ${kick.key ?? "an operator"}` : `, seen at ${clock(Date.now())}`}` : "is not live in this app; it may have closed");
    if (this.#times.length === 0) return fill(this.#actions, empty("Nothing can be sent to it.", h("a", { href: href("sessions", [], { app: this.#app }) }, "Sessions")));
    // What was answered stays; nothing more can be asked.
    for (const set of this.node.querySelectorAll<HTMLFieldSetElement>("fieldset.actions")) {
      set.disabled = true;
      set.classList.remove("actions");
    }
  }
}

export const session = (context: Context): Screen => new SessionScreen(context);
