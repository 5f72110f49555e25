// Push & test: a push with its receipt and the same as a command; beside it a client, to see what arrives.
import type { Query } from "../api.js";
import type { Context, Screen } from "../context.js";
import { attribute, h, say } from "../dom.js";
import { box, button, field, heading, input, section, select } from "../parts.js";
import { asCurl, pushForm } from "../pushform.js";
import { TestClient } from "./client.js";
import { appField } from "./names.js";

const TARGETS: [string, string][] = [["user", "User"], ["group", "Group"], ["tag", "Tag"], ["session", "Session"], ["all", "All sessions of the app"]];

/** The app: a list of those that are known, or a field where the key may not ask. */
function appOf(context: Context, changed: () => void): HTMLSelectElement | HTMLInputElement {
  if (context.model.appNames.length > 0) return appField(context, false, changed);
  const app = input({ value: "default" });
  app.addEventListener("input", changed);
  return app;
}

export function push(context: Context): Screen {
  const { model, route } = context;
  const curl = h("pre", { class: "mono" });
  const copied = h("span", { role: "status" });
  const app = appOf(context, () => changed());
  const to = select(TARGETS, TARGETS.some(([is]) => is === route.query.to) ? (route.query.to as string) : "user", () => {
    name.disabled = to.value === "all";
    changed();
  });
  const name = input({ value: route.query.name ?? "", placeholder: "Exact name" });
  const key = input({ placeholder: "none" });
  for (const one of [name, key]) one.addEventListener("input", () => changed());
  const target = (): Query => ({ app: app.value === "default" ? null : app.value, [to.value]: to.value === "all" ? 1 : name.value, key: key.value });
  const form = pushForm(target, () => changed());
  function changed(): void {
    say(curl, asCurl(form.query(), form.body(), model.hello?.key.name !== null));
    say(copied, "");
  }
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(curl.textContent ?? "");
      say(copied, "Copied.");
    } catch {
      // Without a secure context there is no clipboard; a selection can be copied by hand.
      getSelection()?.selectAllChildren(curl);
      say(copied, "Selected: copy it.");
    }
  };
  const client = new TestClient(model);
  attribute(curl, "tabindex", "0");
  attribute(curl, "role", "region");
  attribute(curl, "aria-label", "The same as a command");
  changed();
  const pushBox = box("Push", null,
    h("div", { class: "fields" }, field("App", app), field("To", to), field("Name", name, true)), h("div", { class: "fields" }, field("Key, replaces an unsent one", key)), form.fields,
    h("h3", null, "The same as a command"), h("div", { class: "receipt" }, curl), h("div", { class: "buttons" }, button("Copy", () => void copy()), copied));
  const node = h("div", null, heading("Push & test", "Send a message as a backend does, and see as a player what arrives."), h("div", { class: "pair" }, pushBox, client.node), section("What is said by a receipt", null, null,
    h("p", { class: "second" }, "“Written” says that the kernel took the message for the player's socket, not that the player has seen it. A receipt adds up: what was matched is written, replaced, dropped, expired, closed, or pending.")));
  return { title: "Push & test", node, close: () => client.close() };
}
