// A push and its receipt, as a form: to one session, a user, a group, or whatever the screen gives.
import { post, type Query, url } from "./api.js";
import { type Child, h } from "./dom.js";
import { shell } from "./format.js";
import { button, field, input, type Result, resultPlace, select } from "./parts.js";
import type { Receipt } from "./wire.js";

export const CLASSES: [string, string][] = [["normal", "normal"], ["urgent", "urgent"], ["droppable", "droppable"]];
const COUNTS = ["matched", "queued", "written", "replaced", "dropped", "expired", "closed", "offline", "pending", "unreached", "away"];
/** What is shown though it is 0. */
const ALWAYS = ["matched", "written"];

/** The sentence that says what the counts mean for whoever has pushed. */
export function meaning(receipt: Receipt, ttlMs: number): string {
  const n = (name: string): number => Number(receipt[name] ?? 0);
  if (n("matched") === 0) return "Nobody of that name has a session: nothing is kept for later.";
  if (n("expired") > 0) return `${n("matched") === 1 ? "Its socket" : "Some sockets"} took nothing for ${ttlMs / 1000} s, so the time to live ran out.`;
  if (n("closed") > 0) return "It was closed before the message was written.";
  if (n("dropped") > 0) return "A queue was full: the app's slow policy dropped it.";
  if (n("pending") > 0) return "Not written within the time that a receipt waits; it may be later.";
  if ("written" in receipt && n("written") === n("matched")) return "Written to the socket. That is not seen by the player.";
  return "Queued for the socket.";
}

export function receiptResult(receipt: Receipt, ttlMs: number): Result {
  const counts = COUNTS.filter((name) => !(name === "queued" && "written" in receipt) && (Number(receipt[name] ?? 0) > 0 || (ALWAYS.includes(name) && name in receipt))).map((name): [string, Child] => [name, String(receipt[name])]);
  const missing = receipt.partial ? ` Not in it: ${receipt.missing?.join(", ")}.` : "";
  return { counts, text: meaning(receipt, ttlMs) + missing };
}

/** The same push as a command. The key is not in it: the shell has it in a variable. */
export function asCurl(query: Query, body: string, keyed: boolean): string {
  const address = `${location.origin}${url(["v1", "push"], query)}`;
  return `curl ${keyed ? `-H "Authorization: Bearer $GANNET_KEY" ` : ""}${shell(["--data-binary", body, address])}`;
}

export interface PushForm {
  fields: HTMLElement;
  query(): Query;
  body(): string;
  push(): Promise<void>;
}

/** The fields of a push and the button. `target` says to whom. */
export function pushForm(target: () => Query, changed: () => void = () => {}): PushForm {
  const message = h("textarea", { spellcheck: "false", rows: 3, oninput: changed });
  message.value = `{"type":"hello"}`;
  const urgency = select(CLASSES, "normal", changed);
  const ttl = input({ inputmode: "numeric", value: "5000" });
  ttl.addEventListener("input", changed);
  const result = resultPlace();
  const query = (): Query => ({ ...target(), ttl_ms: ttl.value.trim(), class: urgency.value === "normal" ? null : urgency.value, receipt: "written" });
  const push = async () => {
    result.wait("Pushed; waiting for the receipt.");
    try {
      const receipt = await post<Receipt>(["v1", "push"], query(), { body: message.value, type: "text/plain; charset=utf-8" });
      result.show(receiptResult(receipt, Number(ttl.value)));
    } catch (error) {
      result.fail(error);
    }
  };
  const fields = h("div", { class: "box-body" }, field("Message", message),
    h("div", { class: "fields" }, field("Class", urgency), field("Time to live, ms", ttl)),
    h("div", { class: "buttons" }, button("Push", () => void push(), "primary"), h("span", null, "receipt: written")), result.node);
  return { fields, query, body: () => message.value, push };
}
