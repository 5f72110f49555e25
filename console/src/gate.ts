// Where the key is asked for. Before it nothing of the server is shown.
import { h, say } from "./dom.js";
import { logo } from "./icons.js";
import { input } from "./parts.js";

export class Gate {
  #wrong = h("p", { class: "wrong", role: "alert", id: "wrong" });
  #key = input({ type: "password", id: "key", name: "key", required: true, "aria-describedby": "wrong" });
  #open = h("button", { type: "submit", class: "primary" }, "Open");
  #busy = false;
  readonly node: HTMLElement;

  constructor(opens: (key: string) => void) {
    const form = h("form", {
      novalidate: true,
      onsubmit: (event: Event) => {
        event.preventDefault();
        if (this.#busy) return;
        if (this.#key.value.trim() === "") this.wrong("Enter a key of this server: one of [backend] in its configuration.");
        else {
          this.#busy = true;
          say(this.#wrong, "");
          opens(this.#key.value);
        }
      },
    },
    h("p", { class: "brand" }, logo(), "gannet"),
    h("h1", null, "Console"),
    h("p", { class: "second" }, "It stays in this tab's memory only."),
    h("label", { for: "key", class: "key-label" }, h("span", null, "Key"), null),
    h("div", { class: "fields" }, h("div", { class: "wide" }, this.#key), this.#open),
    this.#wrong);
    this.node = h("main", { class: "gate" }, form);
  }

  focus(): void {
    this.#key.focus();
  }

  /** Says why the key does not open anything; the field keeps the focus. */
  wrong(words: string): void {
    this.#busy = false;
    say(this.#wrong, words);
    this.#key.setAttribute("aria-invalid", "true");
    this.#key.focus();
    this.#key.select();
  }

  /** Says that nothing answers yet; the page goes on trying. */
  waits(words: string): void {
    this.#busy = false;
    say(this.#wrong, words);
  }
}
