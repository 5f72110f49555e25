// Sessions: of an app or of all, of a group, a user or a tag, and those that are behind, the longest queue first.
import { get } from "../api.js";
import type { Context, Screen } from "../context.js";
import { attribute, type Child, h } from "../dom.js";
import { bytes, count, millis, span } from "../format.js";
import { Listing, type Page } from "../listing.js";
import type { Model } from "../model.js";
import { button, type Column, empty, field, groupLink, heading, input, select, sessionLink, userLink } from "../parts.js";
import { href } from "../route.js";
import { Gauge } from "../spark.js";
import type { Session, SessionList } from "../wire.js";
import { appField } from "./names.js";

const PAGE = 100;
/** The page shows no more rows than this, however many are behind. */
const MOST_ROWS = 500;

export interface Filter {
  /** The empty name: every app. */
  app: string;
  by: string;
  name: string;
  behind: boolean;
}

interface ListingHooks {
  caption: string;
  none: () => HTMLElement;
  counted?: (n: number) => void;
}

const COLUMNS: Column[] = [
  { name: "User", class: "cut user" }, { name: "Session", late: true }, { name: "Groups", late: true, class: "cut group" },
  { name: "Waits", number: true, class: "waits" }, { name: "For", number: true, late: true }, { name: "Round trip", number: true },
];

function cells(model: Model, session: Session): Child[] {
  const { app, user, groups, queued_bytes, behind_since_unix_ms, round_trip_us, since_unix_ms } = session;
  const bar = new Gauge();
  bar.draw(queued_bytes / (model.hello?.bounds?.outbox_bytes || 1_048_576));
  const [first, ...others] = groups;
  const isBehind = behind_since_unix_ms !== null && behind_since_unix_ms !== undefined;
  return [
    user === null ? sessionLink(app, session.session, "no user") : userLink(app, user),
    h("span", { class: "mono" }, sessionLink(app, session.session)),
    first === undefined ? "—" : [groupLink(app, first), others.length ? ` +${others.length}` : null],
    [h("span", { class: "late" }, bar.node), h("span", { class: "strong" }, session.away ? "away" : bytes(queued_bytes))],
    h("span", { title: isBehind ? "behind for" : "connected for" }, span(model.now - (isBehind ? (behind_since_unix_ms as number) : since_unix_ms))),
    round_trip_us === null ? "—" : `${millis(round_trip_us)} ms`,
  ];
}

const parameters = ({ by, name, behind }: Filter): Record<string, string | null> => ({ ...(by && name ? { [by]: name } : {}), behind: behind ? "1" : null });

/** Those who are behind, of several apps together: the longest queue first. There are no pages. */
async function allBehind(model: Model, filter: Filter, apps: string[], signal: AbortSignal): Promise<Page & { count: number }> {
  const limit = Math.min(MOST_ROWS, model.hello?.bounds?.max_page || MOST_ROWS);
  const lists = await Promise.all(apps.map((app) => get<SessionList>(["v1", "sessions"], { app, ...parameters(filter), limit }, signal)));
  const sessions = lists.flatMap((list) => list.sessions).sort((a, b) => b.queued_bytes - a.queued_bytes).slice(0, limit);
  const total = lists.reduce((sum, list) => sum + list.count, 0);
  const partial = lists.find((list) => list.partial);
  return { partial: partial?.partial, missing: partial?.missing, rows: sessions.map((session) => cells(model, session)), next: null, count: total };
}

/** A page of all apps, one after another: the cursor names the app. */
async function pageOfAll(model: Model, filter: Filter, apps: string[], after: string | null, signal: AbortSignal): Promise<Page & { count: number }> {
  let [at, from] = after === null ? [0, null as string | null] : (JSON.parse(after) as [number, string | null]);
  const rows: Child[][] = [];
  let page: SessionList | null = null;
  while (at < apps.length && rows.length < PAGE) {
    page = await get<SessionList>(["v1", "sessions"], { app: apps[at], ...parameters(filter), limit: PAGE - rows.length, after: from }, signal);
    rows.push(...page.sessions.map((session) => cells(model, session)));
    from = page.next;
    if (from === null) at += 1;
  }
  const total = apps.length === 1 && page ? page.count : filter.name ? -1 : [...model.apps.values()].reduce((sum, row) => sum + row.sessions, 0);
  return { partial: page?.partial, missing: page?.missing, rows, next: at < apps.length ? JSON.stringify([at, from]) : null, count: total };
}

export function sessionListing(model: Model, filter: () => Filter, hooks: ListingHooks): Listing {
  return new Listing({
    caption: hooks.caption,
    columns: COLUMNS,
    none: hooks.none,
    async load(after, signal) {
      const is = filter();
      const apps = is.app === "" ? model.appNames : [is.app];
      const page = is.behind ? await allBehind(model, is, apps, signal) : await pageOfAll(model, is, apps, after, signal);
      hooks.counted?.(page.count);
      const all = [...model.apps].reduce((sum, [app, row]) => sum + (is.app === "" || is.app === app ? row.sessions : 0), 0);
      const shown = is.behind && page.count > page.rows.length ? `the ${count(page.rows.length)} furthest of ${count(page.count)}` : count(page.count);
      const note = page.count < 0 ? undefined : all > page.count && page.rows.length === page.count ? `${shown} of ${count(all)}` : `${shown} session${page.count === 1 ? "" : "s"}`;
      return { ...page, note };
    },
  });
}

export function sessions(context: Context): Screen {
  const { model, route } = context;
  const app = appField(context, true, show);
  const by = select([["", "All"], ["group", "Group"], ["user", "User"], ["tag", "Tag"]], route.query.by ?? "", () => {
    name.disabled = by.value === "";
    if (by.value === "" || name.value !== "") show();
    else name.focus();
  });
  const name = input({ placeholder: "Exact name", value: route.query.name ?? "" });
  name.disabled = by.value === "";
  name.addEventListener("keydown", (event) => event.key === "Enter" && show());
  const behind = button("Behind", () => {
    attribute(behind, "aria-pressed", String(behind.getAttribute("aria-pressed") !== "true"));
    show();
  });
  attribute(behind, "aria-pressed", String(route.query.behind === "1"));
  const filter = (): Filter => ({ app: app.value, by: by.value, name: by.value === "" ? "" : name.value, behind: behind.getAttribute("aria-pressed") === "true" });
  const listing = sessionListing(model, filter, {
    caption: "Sessions",
    none: () => (filter().behind ? empty("No session is behind: each socket takes what it is sent. ", h("a", { href: href("sessions", [], { app: app.value }) }, "All sessions")) : empty("No session is there. ", model.may("push") ? h("a", { href: href("push") }, "Open one with the test client") : null)),
  });
  function show() {
    const is = filter();
    history.replaceState(null, "", href("sessions", [], { app: is.app, by: is.by, name: is.name, behind: is.behind ? "1" : null }));
    listing.first();
  }
  const node = h("div", null, heading("Sessions", listing.when),
    h("div", { class: "fields filters" }, field("App", app), field("Of", by), h("label", { class: "name" }, h("span", null, "Name"), name), button("Show", show), behind), listing.node);
  listing.first();
  return { title: "Sessions", node, close: () => listing.close() };
}
