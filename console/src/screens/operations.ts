// Operations: reload, log, drain, upgrade, and the trail of who did what.
import { get, post } from "../api.js";
import { by, didWhat, keyChange } from "../changes.js";
import type { Context, Screen } from "../context.js";
import { type Child, dotted, fill, h } from "../dom.js";
import { clock, count, plural, span, when } from "../format.js";
import { Listing, type Page } from "../listing.js";
import type { Model, Update } from "../model.js";
import { box, button, type Column, empty, field, heading, resultPlace, section, select } from "../parts.js";
import type { Change } from "../wire.js";
import { drainBox } from "./operations/drain.js";
import { upgradeBox } from "./operations/upgrade.js";

const AUDIT: Column[] = [
  { name: "Time", class: "when" }, { name: "Who", class: "strong" }, { name: "From", late: true }, { name: "Did", class: "strong" }, { name: "Changed", number: true, late: true },
];

interface Reloaded {
  changed: string[];
  restart: string[];
}

/** The box, and where the last reload of the trail is shown in it. */
function reloadBox(model: Model): { node: HTMLElement; last(change: Change): void } {
  const result = resultPlace();
  const last = (change: Change) => {
    if (!result.node.hidden) return;
    result.show({ counts: change.changes?.map((one): [string, Child] => ["changed", keyChange(one)]) ?? [], text: `Last: ${when(change.at_unix_ms, model.now)} ${by(change)}` }, true);
  };
  const reload = async () => {
    try {
      const { changed, restart } = await post<Reloaded>(["v1", "admin", "reload"]);
      const list = (keys: string[]) => (keys.length ? keys.join(", ") : "none");
      result.show({ counts: [["changed", list(changed)], ["needs a restart", list(restart)]], text: `Done at ${clock(Date.now())}.` });
    } catch (error) {
      result.fail(error);
    }
  };
  const node = box("Reload", "Reads the configuration again, all or nothing. Nobody is disconnected.", result.node, h("div", { class: "buttons" }, button("Reload", () => void reload())));
  return { node, last };
}

function logBox(): HTMLElement {
  const [level, forMs, result] = [select(["error", "warn", "info", "debug", "trace"].map((one) => [one, one]), "debug"), select([["600000", "10 min"], ["3600000", "1 h"], ["60000", "1 min"], ["", "until it is set again"]], "600000"), resultPlace()];
  const now = h("span");
  // What is in force is in the configuration, where the key may read it.
  void get<{ log: { level: string } }>(["v1", "admin", "config"]).then(({ log }) => fill(now, `configured: ${log.level}`), () => {});
  const set = async () => {
    try {
      const told = await post<{ level: string; for_ms: number | null }>(["v1", "admin", "log"], { level: level.value, for_ms: forMs.value });
      result.show({ counts: [["level", told.level]], text: told.for_ms ? `For ${span(told.for_ms)}, then as before.` : "Until it is set again." });
    } catch (error) {
      result.fail(error);
    }
  };
  return box("Log level", "Debug writes a line for each refusal and goes back by itself.", h("div", { class: "fields" }, field("Level", level), field("For", forMs)), h("div", { class: "buttons" }, button("Set", () => void set()), now), result.node);
}

function changedCell({ sessions, changes, result }: Change): string {
  if (result !== "ok") return "—";
  if (sessions !== undefined) return plural(sessions, "session");
  return changes?.length ? plural(changes.length, "key") : "—";
}

class Operations implements Screen {
  title = "Operations";
  #model: Model;
  #under: HTMLElement;
  #audit: Listing;
  #shown = "";
  readonly node: HTMLElement;

  constructor({ model }: Context) {
    this.#model = model;
    const top = heading("Operations", "");
    this.#under = top.querySelector(".under") as HTMLElement;
    const reload = reloadBox(model);
    this.#audit = new Listing({
      caption: "Audit trail", columns: AUDIT,
      none: () => empty("Nobody has done anything yet: what is done here, with the command line or over the API, is listed."),
      async load(_, signal): Promise<Page> {
        const { count: kept, lines } = await get<{ count: number; lines: Change[] }>(["v1", "admin", "audit"], { limit: 100 }, signal);
        const last = lines.find(({ op, result }) => op === "reload" && result === "ok");
        if (last) reload.last(last);
        const rows = lines.map((line): Child[] => [when(line.at_unix_ms, model.now), line.key ?? "—", line.remote?.replace(/:\d+$/, "") ?? "—", didWhat(line), changedCell(line)]);
        return { rows, next: null, note: kept > rows.length ? `the last ${count(rows.length)} of ${count(kept)}` : plural(kept, "line") };
      },
    });
    const all = model.administers;
    this.node = h("div", null, top,
      all ? h("div", { class: "boxes" }, h("div", { class: "pair" }, reload.node, logBox()), drainBox(model), upgradeBox(model)) : null,
      section("Audit trail", "since the start of this server, newest first", this.#audit.when, this.#audit.node));
    this.#audit.first();
    this.update({ kind: "tick", moved: false, restarted: false });
  }

  update({ kind }: Update): void {
    if (kind !== "tick" && kind !== "hello") return;
    const { hello, tick } = this.#model;
    const parts = [this.#model.serverName, hello?.version, `process ${hello?.pid}`, `up ${span(this.#model.now - (hello?.started_unix_ms ?? 0))}`, plural(tick?.sessions ?? 0, "session"), tick?.ready === false ? `not ready: ${tick.why ?? ""}` : null];
    const shown = parts.join("\n");
    if (shown === this.#shown) return;
    this.#shown = shown;
    fill(this.#under, dotted(...parts));
  }

  close(): void {
    this.#audit.close();
  }
}

export const operations = (context: Context): Screen => new Operations(context);
