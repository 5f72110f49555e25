// What a finding adds from the stream, and where it leads.
import type { Model } from "./model.js";
import { count } from "./format.js";
import { href } from "./route.js";
import type { Finding } from "./verdict.js";
import type { BehindRow } from "./wire.js";

/** The name that most rows have, and how many. */
export function most<T>(rows: T[], names: (row: T) => string[]): { name: string; rows: number } | null {
  const found = new Map<string, number>();
  for (const row of rows) for (const name of new Set(names(row))) found.set(name, (found.get(name) ?? 0) + 1);
  let best: { name: string; rows: number } | null = null;
  for (const [name, n] of found) if (best === null || n > best.rows) best = { name, rows: n };
  return best;
}

/** The group that most of those furthest behind are in, if it is at least half of them. */
export function worstGroup(rows: BehindRow[]): { app: string; group: string; rows: number } | null {
  const best = most(rows, ({ app, groups }) => groups.map((group) => JSON.stringify([app, group])));
  if (!best || best.rows < 2 || best.rows * 2 < rows.length) return null;
  const [app, group] = JSON.parse(best.name) as [string, string];
  return { app, group, rows: best.rows };
}

/** The rest of the sentence, with what else the stream tells. */
export function rest(finding: Finding, model: Model): string {
  if (finding.topic === "refused") {
    const reason = Object.entries(model.tick?.refused ?? {}).sort(([, a], [, b]) => b - a)[0];
    return reason ? `${finding.rest}; most of them: ${reason[0].replaceAll("_", " ")}` : finding.rest;
  }
  if (finding.topic !== "behind") return finding.rest;
  const parts = [];
  const worst = [...model.apps].sort(([, a], [, b]) => b.behind - a.behind)[0];
  if (worst && worst[1].behind > 0 && model.apps.size > 1) parts.push(`${count(worst[1].behind)} of them in ${worst[0]}`);
  const rows = model.behind?.sessions ?? [];
  const group = worstGroup(rows);
  if (group) parts.push(`${group.rows} of the ${rows.length} furthest in ${group.group}`);
  return parts.length ? `, ${parts.join("; ")}` : finding.rest;
}

/** Where a finding leads: a screen, or a part of this one. */
export function leads({ topic }: Finding, model: Model): { words: string; href?: string; part?: "reactors" | "reasons" } | null {
  const reads = model.may("read");
  switch (topic) {
    case "behind":
    case "relieved": return reads ? { words: "Show them", href: href("sessions", [], { behind: "1" }) } : null;
    case "tooSlow": {
      const group = worstGroup(model.behind?.sessions ?? []);
      return group ? { words: `Open ${group.group}`, href: href("group", [group.app, group.group]) } : { words: "Show who is behind", href: href("sessions", [], { behind: "1" }) };
    }
    case "overflow":
    case "mailbox":
    case "p99":
    case "reactor": return { words: "Compare", part: "reactors" };
    case "notDelivered": return { words: "What the reasons mean", part: "reasons" };
    case "ready": return model.hello?.cluster && model.tick?.why === "cluster" ? { words: "Cluster", href: href("cluster") } : operations(model);
    case "certificate": return operations(model);
    case "full":
    case "refused":
    case "accept": return model.administers ? { words: "Limits", href: href("configuration", [], { search: topic === "refused" ? "rates" : "max_sessions" }) } : null;
  }
}

const operations = (model: Model): { words: string; href: string } | null => (model.hello?.key.apps === null ? { words: "Operations", href: href("operations") } : null);
