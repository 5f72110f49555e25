// Groups and users: the names that have sessions now, in their order, by app and by how they begin.
import { get } from "../api.js";
import type { Context, Screen } from "../context.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { Listing, type Page } from "../listing.js";
import { button, empty, field, groupLink, heading, input, select, userLink } from "../parts.js";
import { href } from "../route.js";
import type { Partial } from "../wire.js";

interface Names extends Partial {
  groups?: { group: string; sessions: number }[];
  users?: { user: string; sessions: number }[];
  next: string | null;
}

/** Which app a screen is about: that of the address, or the first. */
export function appField({ model, route }: Context, all: boolean, onchange: () => void): HTMLSelectElement {
  const options: [string, string][] = model.appNames.map((app) => [app, app]);
  if (all && options.length > 1) options.unshift(["", "All apps"]);
  const asked = route.query.app;
  return select(options, asked !== undefined && model.appNames.includes(asked) ? asked : (options[0]?.[0] ?? ""), onchange);
}

function names(context: Context, what: "group" | "user"): Screen {
  const many = what === "group" ? "groups" : "users";
  const title = what === "group" ? "Groups" : "Users";
  const app = appField(context, false, () => listing.first());
  const prefix = input({ placeholder: "Begins with", value: context.route.query.prefix ?? "" });
  prefix.addEventListener("keydown", (event) => event.key === "Enter" && listing.first());
  const load = async (after: string | null, signal: AbortSignal): Promise<Page> => {
    const [named, begins] = [app.value, prefix.value];
    history.replaceState(null, "", href(many, [], { app: named, prefix: begins }));
    const answer = await get<Names>(["v1", many], { app: named, prefix: begins, after, limit: 100 }, signal);
    const rows = what === "group" ? (answer.groups ?? []).map(({ group, sessions }) => [groupLink(named, group), count(sessions)]) : (answer.users ?? []).map(({ user, sessions }) => [userLink(named, user), count(sessions)]);
    return { ...answer, rows };
  };
  const listing = new Listing({
    caption: title,
    columns: [{ name: what === "group" ? "Group" : "User" }, { name: "Sessions", number: true }],
    load,
    none: () => empty(
      prefix.value ? `No ${what} of ${app.value} begins so. ` : what === "group" ? `No session of ${app.value} is in a group. ` : `No user of ${app.value} has a session. `,
      h("a", { href: href("sessions", [], { app: app.value }) }, "Sessions")),
  });
  const node = h("div", { class: "narrow" }, heading(title, listing.when),
    h("div", { class: "fields filters" }, field("App", app), h("label", { class: "name" }, h("span", null, "Name"), prefix), button("Show", () => listing.first())), listing.node);
  listing.first();
  return { title, node, close: () => listing.close() };
}

export const groups = (context: Context): Screen => names(context, "group");
export const users = (context: Context): Screen => names(context, "user");
