// A group: how many are in it, what it remembers, who they are; a push to all, a move, the end.
import { del, get, isAborted, post, Refused } from "../api.js";
import type { Context, Screen } from "../context.js";
import { dangerBox } from "../danger.js";
import { type Child, fill, h } from "../dom.js";
import { clock, count, payload, plural } from "../format.js";
import { Listing, type Page } from "../listing.js";
import { box, button, crumbs, empty, failed, field, heading, input, resultPlace, section, sessionLink, table, userLink } from "../parts.js";
import { pushForm } from "../pushform.js";
import { href } from "../route.js";
import type { Partial } from "../wire.js";

interface Group extends Partial {
  group: string;
  count: number;
  behind?: number;
  pushes?: number;
  members: { session: string; user: string | null }[];
  next: string | null;
}

interface Remembered {
  epoch: string;
  offset: number;
  messages: { offset: number; key?: string; text?: string; data?: string }[];
}

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** A part of what the group remembers; nothing at all if it keeps none of the kind. */
async function remembered(app: string, group: string, what: "latest" | "log", signal: AbortSignal): Promise<Child> {
  const title = what === "latest" ? "Latest" : "Log";
  try {
    const { offset, messages } = await get<Remembered>(["v1", "groups", group, what], { app, ...(what === "log" ? { limit: 100 } : {}) }, signal);
    const rows = messages.map((message): Child[] => [count(message.offset), message.key ?? "—", h("span", { class: "mono" }, message.text ?? payload(bytesOf(message.data ?? "")))]);
    return section(title, `${what === "latest" ? "the newest push of each key" : "the oldest of the pushes that are kept first"}, up to number ${count(offset)}, as of ${clock(Date.now())}`, null,
      rows.length ? table(title, [{ name: "Number", number: true, class: "offset" }, { name: "Key" }, { name: "Begins with", class: "cut head" }], rows.slice(0, 100)) : empty("Nothing is kept now."));
  } catch (error) {
    if (isAborted(error) || (error instanceof Refused && error.status === 400)) return null;
    return section(title, null, null, failed(error));
  }
}

export function group({ model, route }: Context): Screen {
  const [app = "", name = ""] = route.of;
  const abort = new AbortController();
  let members = 0;
  const facts = h("dl", { class: "facts" });
  const put = ({ count: n, behind, pushes }: Group) => {
    members = n;
    const fact = (what: string, value: Child) => h("div", null, h("dt", null, what), h("dd", null, value));
    fill(facts, fact("Members", count(n)),
      behind === undefined ? null : fact("Behind", behind > 0 ? h("a", { href: href("sessions", [], { app, by: "group", name, behind: "1" }) }, count(behind)) : "0"),
      pushes === undefined ? null : fact("Pushes", [count(pushes), h("span", { class: "third" }, " since it has members")]),
      fact("App", app));
  };
  const listing = new Listing({
    caption: `Members of ${name}`,
    columns: [{ name: "User" }, { name: "Session" }],
    async load(after, signal): Promise<Page> {
      const answer = await get<Group>(["v1", "groups", name], { app, after, limit: 100 }, signal);
      put(answer);
      return { ...answer, rows: answer.members.map(({ session, user }) => [userLink(app, user), h("span", { class: "mono" }, sessionLink(app, session))]), note: plural(answer.count, "member") };
    },
    none: () => empty("Nobody is in this group now.", h("a", { href: href("groups", [], { app }) }, "Groups")),
  });
  const memory = h("div", { class: "gap" });
  const readMemory = async () => {
    const parts = await Promise.all((["latest", "log"] as const).map((what) => remembered(app, name, what, abort.signal)));
    if (!abort.signal.aborted) fill(memory, parts);
  };
  const members_ = section("Members", listing.when, null, listing.node);
  const node = h("div", null, crumbs(h("a", { href: href("groups", [], { app }) }, "Groups"), app), heading(name), facts,
    h("div", { class: "split forms" }, h("div", null, members_, memory), h("div", { class: "boxes" }, actions())));

  function actions(): Child[] {
    return [
      model.may("push") ? box("Push to this group", null, pushForm(() => ({ app, group: name })).fields) : null,
      model.may("all") ? moveBox(app, name, () => listing.first()) : null,
      model.may("all") ? dangerBox({
        title: "Destroy", text: "Every member leaves the group, and what it remembers is forgotten. Sessions stay open.", asks: "Destroy this group…",
        does: () => `Remove ${plural(members, "member")}`, name,
        async act() {
          const { sessions } = await del<{ sessions: number }>(["v1", "groups", name], { app });
          listing.first();
          void readMemory();
          return { counts: [["left", count(sessions)]], text: "The group is gone; a join makes it anew." };
        },
      }) : null,
    ];
  }
  listing.first();
  void readMemory();
  return {
    title: name, node,
    close() {
      abort.abort();
      listing.close();
    },
  };
}

function moveBox(app: string, name: string, moved: () => void): HTMLElement {
  const [to, result] = [input(), resultPlace()];
  const move = async () => {
    if (to.value === "") return to.focus();
    try {
      const { sessions } = await post<{ sessions: number }>(["v1", "groups", name, "move"], { app, to: to.value });
      moved();
      result.show({ counts: [["moved", count(sessions)]], text: ["They are in ", h("a", { href: href("group", [app, to.value]) }, to.value), " now."] });
    } catch (error) {
      result.fail(error);
    }
  };
  return box("Move", "All members leave this group and are in another.", h("div", { class: "fields" }, field("To group", to), button("Move", () => void move())), result.node);
}
