// The keys, in a dialog that Esc closes.
import { h } from "./dom.js";
import { PLACES } from "./keyboard.js";
import { button } from "./parts.js";
import type { ScreenName } from "./route.js";

const NAMES: Partial<Record<ScreenName, string>> = { push: "push & test" };

export function helpDialog(allowed: (screen: ScreenName) => boolean): void {
  if (document.querySelector("dialog")) return;
  const key = (...keys: string[]) => h("dt", null, keys.flatMap((one, at) => [at ? " " : null, h("kbd", null, one)]));
  const places = Object.entries(PLACES).filter(([, screen]) => allowed(screen));
  const dialog = h("dialog", { "aria-labelledby": "keys", onclose: () => dialog.remove() },
    h("h2", { id: "keys" }, "Keys"),
    h("dl", null,
      key("/"), h("dd", null, "search"),
      places.map(([letter, screen]) => [key("g", letter), h("dd", null, NAMES[screen] ?? screen)]),
      key("j", "k"), h("dd", null, "next row, row before"),
      key("Enter"), h("dd", null, "open the row"),
      key("Esc"), h("dd", null, "leave a field, a question or this"),
      key("t"), h("dd", null, "light or dark"),
      key("?"), h("dd", null, "this")),
    button("Close", () => dialog.close()));
  document.body.append(dialog);
  dialog.showModal();
}
