// The cluster as this node sees it: whom it hears, and its links to Redis.
import { get, isAborted } from "../api.js";
import type { Context, Screen } from "../context.js";
import { type Child, fill, h } from "../dom.js";
import { clock, count, digits } from "../format.js";
import { button, empty, failed, heading, section, table } from "../parts.js";

interface Cluster {
  node: number;
  name: string;
  lease: string;
  ready: boolean;
  redis: { url: string; up: boolean; why: string | null; version: string | null; lag_ms: number | null; channels: number; queue: number; unanswered: number }[];
  nodes: { node: number; name: string; sessions: number; age_ms: number; draining: boolean; version: string; advertise: string | null; same_redis: boolean }[];
  moving: { redis: string[]; publishes: boolean; awaits: string[] } | null;
}

const LEASES: Record<string, string> = { held: "its number is its own for sure", lost: "another node may have taken its number", none: "it has no number yet" };

function nodesTable({ nodes, name }: Cluster): HTMLElement {
  const rows = nodes.map((node): Child[] => [
    [node.name, node.name === name ? h("span", { class: "third" }, " this one") : null], String(node.node), count(node.sessions),
    `${count(node.age_ms)} ms ago`, node.version, node.advertise ?? "—", node.draining || !node.same_redis ? h("span", { class: "look" }, node.draining ? "draining" : "another list of Redis") : "ready",
  ]);
  return rows.length ? table("Nodes", [{ name: "Node", class: "strong" }, { name: "Number", number: true, late: true }, { name: "Sessions", number: true }, { name: "Heard", number: true }, { name: "Version", late: true }, { name: "Players reach it at", late: true }, { name: "State", late: true }], rows) : empty("No node is heard, not even this one.");
}

function redisTable({ redis }: Cluster): HTMLElement {
  const rows = redis.map((one): Child[] => [
    one.url, one.up ? "up" : h("span", { class: "act" }, one.why ?? "down"), one.lag_ms === null ? "—" : `${digits(one.lag_ms)} ms`, one.version ?? "—", count(one.channels), count(one.queue), count(one.unanswered),
  ]);
  return table("Redis", [{ name: "Redis", class: "strong" }, { name: "State" }, { name: "There and back", number: true }, { name: "Version", late: true }, { name: "Channels", number: true, late: true }, { name: "Waiting", number: true, late: true }, { name: "Not answered", number: true, late: true }], rows);
}

export function cluster({ model }: Context): Screen {
  const abort = new AbortController();
  const when = h("span", { role: "status" });
  const place = h("div");
  const read = async () => {
    try {
      const is = await get<Cluster>(["v1", "cluster"], {}, abort.signal);
      fill(when, `${is.ready ? "hears all that it has to hear" : "does not hear all that it has to hear"}; ${LEASES[is.lease] ?? is.lease}; as of ${clock(Date.now())} `, button("Read again", () => void read(), "as-link"));
      fill(place,
        is.moving ? h("p", { class: "banner quiet" }, `The list of Redis servers changes to ${is.moving.redis.join(", ")}. ${is.moving.awaits.length ? `Waiting for ${is.moving.awaits.join(", ")}.` : ""}`) : null,
        section("Nodes", "that this one hears", null, nodesTable(is)), section("Redis", "of this node", null, redisTable(is)));
    } catch (error) {
      if (!isAborted(error)) fill(place, failed(error, () => void read()));
    }
  };
  void read();
  return { title: "Cluster", node: h("div", null, heading(`Cluster, as ${model.serverName} sees it`, when), place), close: () => abort.abort() };
}
