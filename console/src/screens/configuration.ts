// The configuration in force, key by key: what differs from the default first in the eye, and a search.
import { get, isAborted } from "../api.js";
import type { Context, Screen } from "../context.js";
import { attribute, fill, h, say } from "../dom.js";
import { clock, plural } from "../format.js";
import { button, empty, failed, heading, input } from "../parts.js";
import { href } from "../route.js";

export interface Key {
  key: string;
  value: string;
  /** The default, if the server says what it is and this is another. */
  other: string | null;
}

const write = (value: unknown): string => (value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value));
const isTable = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** The keys of a configuration in their order, as in a TOML file; an app is compared with the defaults of the app `default`. */
export function flat(config: Record<string, unknown>, defaults: Record<string, unknown> | null, before = ""): Key[] {
  return Object.entries(config).flatMap(([name, value]): Key[] => {
    const key = before ? `${before}.${name}` : name;
    const usual = defaults === null ? undefined : (defaults[name] ?? (before === "apps" ? defaults.default : undefined));
    if (isTable(value) && Object.keys(value).length > 0) return flat(value, defaults === null ? null : isTable(usual) ? usual : {}, key);
    const differs = defaults !== null && JSON.stringify(value) !== JSON.stringify(usual ?? null);
    return [{ key, value: write(value), other: differs ? write(usual ?? null) : null }];
  });
}

export function configuration({ route }: Context): Screen {
  const abort = new AbortController();
  let keys: Key[] = [];
  let known = false;
  const when = h("span", { role: "status" });
  const place = h("div");
  const search = input({ type: "search", placeholder: "Part of a key or a value", value: route.query.search ?? "" });
  const only = button("What differs", () => {
    attribute(only, "aria-pressed", String(only.getAttribute("aria-pressed") !== "true"));
    draw();
  });
  attribute(only, "aria-pressed", "false");
  search.addEventListener("input", () => {
    history.replaceState(null, "", href("configuration", [], { search: search.value.trim() }));
    draw();
  });

  const draw = () => {
    const words = search.value.trim().toLowerCase();
    const isOnly = only.getAttribute("aria-pressed") === "true";
    const shown = keys.filter(({ key, value, other }) => (!isOnly || other !== null) && (words === "" || key.toLowerCase().includes(words) || value.toLowerCase().includes(words)));
    say(when, `${plural(keys.length, "key")}${known ? `, ${keys.filter(({ other }) => other !== null).length} differ from the default` : ""}, as of ${clock(Date.now())}; secrets are ***`);
    const rows = shown.slice(0, 500).map(({ key, value, other }) => h("tr", { class: other === null ? null : "differs" }, h("td", { class: "mono" }, key), h("td", { class: "mono wrap" }, value), known ? h("td", { class: "mono wrap default late" }, other === null ? "" : `default ${other}`) : null));
    fill(place, rows.length ? h("table", { class: "config" }, h("caption", { class: "unseen" }, "Configuration"), h("thead", null, h("tr", null, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "Value"), known ? h("th", { scope: "col", class: "late" }, "Differs from") : null)), h("tbody", null, rows))
      : empty(isOnly && words === "" ? "Every key has its default." : "No key has this in its name or value."));
  };
  const read = async () => {
    try {
      const config = await get<Record<string, unknown>>(["v1", "admin", "config"], {}, abort.signal);
      const defaults = await get<Record<string, unknown>>(["v1", "admin", "config"], { defaults: 1 }, abort.signal).catch(() => null);
      known = defaults !== null;
      only.hidden = !known;
      keys = flat(config, defaults);
      draw();
    } catch (error) {
      if (!isAborted(error)) fill(place, failed(error, () => void read()));
    }
  };
  only.hidden = true;
  void read();
  const node = h("div", null, heading("Configuration", when, " ", button("Read again", () => void read(), "as-link")),
    h("div", { class: "fields filters" }, h("label", { class: "name" }, h("span", null, "Search"), search), only), place);
  return { title: "Configuration", node, close: () => abort.abort() };
}
