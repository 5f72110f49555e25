// The end of a session: a second click is enough, for it is one.
import { del } from "../../api.js";
import { dangerBox } from "../../danger.js";
import { count } from "../../format.js";
import { field, input, select } from "../../parts.js";

export const codeField = (): HTMLSelectElement => select([["4001", "4001 kicked"], ["1000", "1000 normal"], ["1001", "1001 going away"], ["1008", "1008 policy"], ["1012", "1012 come back"], ["1013", "1013 come back later"]], "4001");

export function kickBox(app: string, session: string, closed: () => void): HTMLElement {
  const [code, reason] = [codeField(), input({ maxlength: 123 })];
  return dangerBox({
    title: "Kick", text: "Closes this session. The client decides by the code whether it comes back.",
    fields: [field("Code", code), field("Reason, seen by the client", reason)],
    asks: "Kick this session…", does: () => "Kick 1 session",
    async act() {
      const { sessions } = await del<{ sessions: number }>(["v1", "sessions", session], { app, code: code.value, reason: reason.value });
      closed();
      return { counts: [["closed", count(sessions)]], text: `With ${code.value}${reason.value ? `, “${reason.value}”` : ""}.` };
    },
  });
}
