// A user: the sessions, a push to all of them, the end of all of them.
import { del } from "../api.js";
import type { Context, Screen } from "../context.js";
import { dangerBox } from "../danger.js";
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { box, crumbs, empty, field, heading, input, section } from "../parts.js";
import { codeField } from "./session/kick.js";
import { pushForm } from "../pushform.js";
import { href } from "../route.js";
import { sessionListing } from "./sessions.js";

export function user({ model, route }: Context): Screen {
  const [app = "", name = ""] = route.of;
  let sessions = 0;
  const listing = sessionListing(model, () => ({ app, by: "user", name, behind: false }), {
    none: () => empty("This user has no session now.", h("a", { href: href("users", [], { app }) }, "Users")),
    counted: (n) => (sessions = n),
    caption: `Sessions of ${name}`,
  });
  const [code, reason] = [codeField(), input({ maxlength: 123 })];
  const kick = () => dangerBox({
    title: "Kick", text: "Closes all sessions of this user. The client decides by the code whether it comes back.",
    fields: [field("Code", code), field("Reason, seen by the client", reason)],
    asks: "Kick this user…", does: () => `Close ${plural(sessions, "session")}`, name,
    async act() {
      const done = await del<{ sessions: number }>(["v1", "users", name], { app, code: code.value, reason: reason.value });
      listing.first();
      return { counts: [["closed", count(done.sessions)]] };
    },
  });
  const node = h("div", null, crumbs(h("a", { href: href("users", [], { app }) }, "Users"), app), heading(name, listing.when),
    h("div", { class: "split forms" }, section("Sessions", null, null, listing.node),
      h("div", { class: "boxes" }, model.may("push") ? box("Push to this user", null, pushForm(() => ({ app, user: name })).fields) : null, model.may("all") ? kick() : null)));
  listing.first();
  return { title: name, node, close: () => listing.close() };
}
