// The flight recorder of a session: what it sends, gets and waits for, frame by frame. A server without one has no such part.
import { del, get, inWords, isAborted, post, Refused } from "../../api.js";
import { whileSeen } from "../../context.js";
import { type Child, classed, fill, h, say } from "../../dom.js";
import { clockMillis, count, payload } from "../../format.js";
import { button, type Column, empty, table } from "../../parts.js";

interface Recording {
  began_unix_ms: number;
  live: boolean;
  lost: number;
  events: { at_us: number; what: string; opcode?: string; fin?: boolean; bytes: number; head?: string; class?: string }[];
  end?: { code: number; reason: string };
}

const FRAMES = 200;
const EVERY_MS = 1000;
const COLUMNS: Column[] = [{ name: "Time", class: "mono time" }, { name: "What", class: "strong" }, { name: "Bytes", number: true }, { name: "Begins with", class: "cut begins" }];

/** `→ to player, text`, `← from player, part of text`, `queued`. */
export function whatHappened({ what, opcode, fin, class: urgency }: Recording["events"][number]): Child {
  const frame = `${fin === false ? "part of " : ""}${opcode ?? "no frame"}`;
  if (what === "out") return `→ to player, ${frame}`;
  if (what === "in") return `← from player, ${frame}`;
  return urgency && urgency !== "normal" ? `${what}, ${urgency}` : what;
}

const unhex = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));

export class Recorder {
  #path: string[];
  #app: string;
  #abort = new AbortController();
  #stop: () => void;
  #hint = h("span", { class: "hint" });
  #button = button("Record", () => void this.#press());
  #frames = h("div");
  #reading = false;
  #seen = -1;
  #word = h("p", { class: "look", role: "status" });
  readonly node = h("section", { hidden: true },
    h("div", { class: "title" }, h("h2", null, "Flight recorder"), this.#hint, h("fieldset", { class: "actions right tall" }, this.#button)), this.#word, this.#frames);

  constructor(app: string, session: string) {
    [this.#app, this.#path] = [app, ["v1", "sessions", session, "record"]];
    this.#stop = whileSeen(EVERY_MS, () => this.#reading && void this.#read());
    void this.#read();
  }

  close(): void {
    this.#stop();
    this.#abort.abort();
  }

  async #press(): Promise<void> {
    say(this.#word, "");
    if (this.#reading) return this.#end();
    try {
      await post(this.#path, { app: this.#app, frames: FRAMES });
      this.#seen = -1;
      this.#reading = true;
      await this.#read();
    } catch (error) {
      say(this.#word, inWords(error));
    }
    this.#name();
  }

  /** What was read stays; the server has room for another record. */
  async #end(): Promise<void> {
    this.#reading = false;
    this.#name();
    try {
      await this.#read();
      this.#reading = false;
      await del(this.#path, { app: this.#app });
      say(this.#hint, "stopped");
    } catch (error) {
      say(this.#word, inWords(error));
    }
    classed(this.#frames, "live", false);
    this.#name();
  }

  #name(): void {
    say(this.#button, this.#reading ? "Stop" : "Record");
  }

  async #read(): Promise<void> {
    try {
      const recording = await get<Recording>(this.#path, { app: this.#app }, this.#abort.signal);
      this.node.hidden = false;
      if (this.#seen < 0 && recording.live) this.#reading = true;
      this.#show(recording);
    } catch (error) {
      if (isAborted(error)) return;
      const missing = error instanceof Refused && error.status === 404;
      // `unknown_session`: nothing is recorded. Another 404: this server has no recorder.
      if (missing && error.code === "unknown_session") this.#none();
      else if (!missing) say(this.#word, inWords(error));
      this.#reading = false;
    }
    this.#name();
  }

  #none(): void {
    this.node.hidden = false;
    if (this.#seen >= 0) return;
    say(this.#hint, "off");
    fill(this.#frames, empty(`The last ${FRAMES} frames of this session, with their first bytes, would be here.`));
  }

  #show({ began_unix_ms, live, lost, events, end }: Recording): void {
    if (!live) this.#reading = false;
    const over = end ? `closed with ${end.code}${end.reason && ` ${end.reason}`}` : "over";
    say(this.#hint, `${live ? `on for the last ${FRAMES}` : over}, ${count(events.length)} taken${lost > 0 ? `, ${count(lost)} lost` : ""}`);
    classed(this.#frames, "live", live);
    if (lost + events.length === this.#seen) return;
    this.#seen = lost + events.length;
    const rows = events.toReversed().slice(0, FRAMES).map((event): Child[] => [
      clockMillis(began_unix_ms + event.at_us / 1000), whatHappened(event), count(event.bytes), h("span", { class: "mono" }, event.head ? payload(unhex(event.head)) : ""),
    ]);
    fill(this.#frames, rows.length ? table("Flight recorder", COLUMNS, rows) : empty("Nothing yet."));
  }
}
