// What cannot be taken back is asked for in place: a second click for one session, the typed name for more. Enter confirms nothing.
import type { Child } from "./dom.js";
import { classed, fill, h, say } from "./dom.js";
import { button, field, input, resultPlace, type Result, unique } from "./parts.js";

export interface Danger {
  title: Child;
  /** The title while it is asked whether one is sure. */
  question?: () => string;
  text: Child;
  /** What is above the fields. */
  above?: Child;
  /** Fields that say how: the name is typed beside them. */
  fields?: Child[];
  /** A button that is harmless, beside the one that asks. */
  beside?: Child;
  /** Of the button that asks: "Kick this session…". */
  asks: string;
  /** Of the button that does it: it counts. */
  does: () => string;
  /** What has to be typed; without it a second click is enough. */
  name?: string;
  act: () => Promise<Result>;
}

/** A box for a dangerous action. */
export function dangerBox(danger: Danger): HTMLElement {
  const title = h("h2", null, danger.title);
  const result = resultPlace();
  const fields = h("div", { class: "fields" }, danger.fields);
  const line = h("div", { class: "buttons" });
  const box = h("section", { class: "box" }, title, h("p", null, danger.text), h("fieldset", { class: "actions box-body" }, danger.above, fields, line), result.node);
  let asked: HTMLElement | null = null;

  const rest = () => {
    classed(box, "armed", false);
    fill(title, danger.title);
    asked?.remove();
    fields.hidden = fields.childElementCount === 0;
    const asks = button(danger.asks, arm, "danger");
    fill(line, danger.beside, asks);
    return asks;
  };
  const run = async (sure: HTMLButtonElement) => {
    sure.disabled = true;
    result.wait("Asked; waiting for the answer.");
    try {
      const done = await danger.act();
      rest();
      result.show(done);
    } catch (error) {
      rest();
      result.fail(error);
    }
  };
  const arm = () => {
    result.clear();
    classed(box, "armed", true);
    if (danger.question) fill(title, danger.question());
    const sure = button(danger.does(), () => void run(sure), "danger sure");
    const cancel = button("Cancel", () => rest().focus());
    const note = h("span", { id: unique("note") });
    fill(line, sure, cancel, note);
    if (danger.name === undefined) {
      say(note, "Click again to confirm.");
      // The click that confirms is a deliberate one: Enter on the button that asked does not go on to this one.
      sure.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
      sure.focus();
      return;
    }
    const name = danger.name;
    const typed = input({ "aria-describedby": note.id });
    const check = () => {
      sure.disabled = typed.value !== name;
      say(note, typed.value === name || typed.value === "" ? "" : "The name does not match yet.");
    };
    typed.addEventListener("input", check);
    typed.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    asked = field(["Type ", h("b", null, name), " to confirm"], typed);
    fields.append(asked);
    fields.hidden = false;
    check();
    typed.focus();
  };
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.classList.contains("armed")) return;
    event.stopPropagation();
    rest().focus();
  });
  rest();
  return box;
}
