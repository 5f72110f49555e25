// What has changed, in words: the lines of the audit trail, and the steps that are seen in the figures.
import { count, digits, plural, rate, span, together } from "./format.js";
import type { Model, SeenStep } from "./model.js";
import type { Marker } from "./plot.js";
import type { Change } from "./wire.js";

export interface Told {
  at: number;
  what: string;
  more: string;
}

/** The value of one field of a target such as `to="wss://b" over_ms=60000`. */
export function targetField(target: string | null, name: string): string | null {
  const found = new RegExp(`(?:^| )${name}=("(?:[^"\\\\]|\\\\.)*"|\\S+)`).exec(target ?? "")?.[1];
  if (found === undefined) return null;
  if (!found.startsWith('"')) return found;
  try {
    return JSON.parse(found) as string;
  } catch {
    return found.slice(1, -1);
  }
}

/** Whom or what a line is about: `ada` of `user="ada"`. */
function whom(target: string | null): string {
  for (const kind of ["user", "group", "session", "address", "link"]) {
    const name = targetField(target, kind);
    if (name !== null) return kind === "session" || kind === "link" || kind === "address" ? name : `${kind} ${name}`;
  }
  return target ?? "";
}

const short = (value: string | null): string => (value === null ? "not set" : value.length > 40 ? `${value.slice(0, 40)}…` : value);

/** `limits.max_page 100 → 200`. */
export const keyChange = ({ key, old, new: now }: { key: string; old: string | null; new: string | null }): string => `${key} ${short(old)} → ${short(now)}`;

/** What was done, as one line of the trail. */
export function didWhat({ op, target, result, changes }: Change): string {
  const failed = result === "ok" ? "" : `: ${result}`;
  switch (op) {
    case "reload": return changes?.length ? `reload: ${changes.map(keyChange).join(", ")}` : `reload${failed}`;
    case "log": return `log level ${targetField(target, "level") ?? ""}${lasting(target)}${failed}`;
    case "drain": return `drain${targetField(target, "to") ? ` to ${targetField(target, "to")}` : ""}${lasting(target, "over_ms", " over ")}${failed}`;
    case "drain_called_off": return `drain called off${failed}`;
    case "upgrade": return `${targetField(target, "dry_run") === "true" ? "rehearsed upgrade" : "upgrade"}${failed}`;
    case "link_opened": return `link ${whom(target)} opened`;
    case "link_closed": return `link ${whom(target)} closed`;
    default: return `${op.replaceAll("_", " ")} ${whom(target)}${failed}`;
  }
}

function lasting(target: string | null, name = "for_ms", before = " for "): string {
  const ms = targetField(target, name);
  return ms === null ? "" : `${before}${span(Number(ms))}`;
}

const TITLES: Record<string, string> = {
  reload: "Configuration read again", log: "Log level changed", drain: "Drain began", drain_called_off: "Drain called off",
  link_opened: "Link opened", link_closed: "Link closed", upgrade: "Upgraded", kick: "Kicked", ban: "Banned", unban: "Ban taken back", destroy: "Group destroyed", record: "Recorder on for", record_stopped: "Recorder off for",
};

export const by = ({ key }: Change): string => (key === null ? "" : `by ${key}`);

function told(change: Change): Told {
  const { op, target, changes, sessions, app, at_unix_ms } = change;
  const subject = whom(target);
  // What came of an upgrade is another line.
  const isRefused = change.result !== "ok" && change.result !== "begun";
  let what = TITLES[op] ?? op.replaceAll("_", " ");
  if (isRefused) what = `${what}: refused`;
  if (change.result === "begun") what = "Upgrade began";
  if (op === "upgrade" && targetField(target, "dry_run") === "true") what = "Upgrade rehearsed";
  if (["kick", "ban", "unban", "destroy", "record", "record_stopped"].includes(op)) what = op === "destroy" ? `${subject.replace("group", "Group")} destroyed` : `${what} ${subject}`;
  const more = [
    by(change),
    isRefused ? change.result : null,
    op === "reload" ? changes?.map(keyChange).join(", ") : null,
    op === "log" ? `${targetField(target, "level")}${lasting(target)}` : null,
    op === "drain" ? targetField(target, "to") : null,
    op.startsWith("link") ? [change.remote?.replace(/:\d+$/, ""), app ? `app ${app}` : null].filter(Boolean).join(", ") : null,
    sessions === undefined ? null : plural(sessions, "session"),
  ];
  return { at: at_unix_ms, what, more: more.filter(Boolean).join(": ") };
}

const COLUMNS: Record<string, (step: SeenStep, everyMs: number) => string> = {
  sessions: (step) => moved("Sessions", step, count),
  behind: (step) => moved("Sessions behind", step, count),
  messages_out: (step, every) => moved("Messages out", step, (n) => together(rate((n * 1000) / every))),
  messages_in: (step, every) => moved("Messages in", step, (n) => together(rate((n * 1000) / every))),
  closed_too_slow: (step, every) => moved("Closes with 4003", step, (n) => `${digits((n * 60_000) / every)} a minute`),
  refused: (step, every) => moved("Refusals", step, (n) => `${digits((n * 60_000) / every)} a minute`),
  push_to_write_p99_us: (step) => moved("Push to write", step, (n) => `${digits(n / 1000)} ms`),
};

function moved(name: string, { what, from, to }: SeenStep, write: (n: number) => string): string {
  if (what === "began" || what === "ended") return `${name} ${what}`;
  const [before, after] = [write(from), write(to)];
  const unit = /[^\d.,]*$/.exec(after)?.[0] ?? "";
  return `${name} ${what} from ${unit && before.endsWith(unit) ? before.slice(0, -unit.length) : before} to ${after}`;
}

/** What changed, the newest first. */
export function whatChanged(model: Model, most: number): Told[] {
  const seen = model.steps.map((step) => ({ at: step.at, what: COLUMNS[step.column]?.(step, model.columns.everyMs) ?? step.column, more: "seen in the figures" }));
  return [...model.changes.map(told), ...seen].sort((a, b) => b.at - a.at).slice(0, most);
}

const MARKED: Record<string, string> = { reload: "reload", drain: "drain", drain_called_off: "drain off", upgrade: "upgrade" };

/** What stands in the plots. */
export function markers(model: Model): Marker[] {
  return model.changes
    .filter(({ op, result, target }) => MARKED[op] && result === "ok" && targetField(target, "dry_run") !== "true")
    .map(({ op, at_unix_ms }) => ({ at: at_unix_ms, what: MARKED[op] as string }))
    .sort((a, b) => a.at - b.at);
}
