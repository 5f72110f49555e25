// The drain: all players are sent elsewhere, evenly. It can be called off; who has gone is gone.
import { del, get, post } from "../../api.js";
import { dangerBox } from "../../danger.js";
import { fill, h, say } from "../../dom.js";
import { count, digits, plural, span } from "../../format.js";
import type { Model } from "../../model.js";
import { button, field, input, resultPlace, select, type Result } from "../../parts.js";

interface Drain {
  draining: boolean;
  over_ms: number | null;
  elapsed_ms: number | null;
  to: string | null;
  closed: number;
  sessions: number;
}

const TIMES = [60_000, 300_000, 600_000, 1_800_000, 3_600_000];

function sofar({ closed, sessions, over_ms, elapsed_ms, to }: Drain): Result {
  const left = over_ms !== null && elapsed_ms !== null ? Math.max(0, over_ms - elapsed_ms) : null;
  return { counts: [["closed", count(closed)], ["still here", count(sessions)]], text: [left === null ? "" : left > 0 ? `For ${span(left)} more` : "Over", to ? `, to ${to}` : "", "."] };
}

export function drainBox(model: Model): HTMLElement {
  const n = model.tick?.sessions ?? 0;
  const [to, over] = [input({ placeholder: "the address that they have" }), select(TIMES.map((ms) => [String(ms), `${span(ms)} (${digits((n * 1000) / ms)} a second)`]), "600000")];
  const going = resultPlace();
  const off = h("div", { class: "buttons", hidden: true }, button("Call the drain off", () => void callOff()), button("How far is it?", () => void look()));
  const place = h("div", { class: "drain" });
  const show = (drain: Drain) => {
    off.hidden = !drain.draining;
    if (drain.draining) going.show(sofar(drain));
    else going.clear();
  };
  const look = async () => {
    try {
      show(await get<Drain>(["v1", "admin", "drain"]));
    } catch (error) {
      going.fail(error);
    }
  };
  const callOff = async () => {
    try {
      const drain = await del<Drain>(["v1", "admin", "drain"]);
      off.hidden = true;
      going.show({ ...sofar(drain), text: "The drain is off: the sessions that are still open stay, and new players are taken." });
    } catch (error) {
      going.fail(error);
    }
  };
  const box = dangerBox({
    title: "Drain", question: () => `Drain: send all ${count(model.tick?.sessions ?? 0)} players elsewhere?`,
    text: "New players get 503 at once. The others are closed with 1012, evenly, and told where to go. You can call it off; who has gone is gone.",
    fields: [field("To", to), field("Over", over)],
    asks: "Drain…", does: () => `Drain ${plural(model.tick?.sessions ?? 0, "session")}`, name: model.serverName,
    async act() {
      const drain = await post<Drain>(["v1", "admin", "drain"], { over_ms: over.value, to: to.value });
      show(drain);
      return { text: "The drain has begun." };
    },
  });
  fill(place, box);
  box.append(h("fieldset", { class: "actions box-body" }, going.node, off));
  // A drain that somebody else has begun is seen too; nothing takes the focus then.
  void get<Drain>(["v1", "admin", "drain"]).then((drain) => {
    if (!drain.draining) return;
    off.hidden = going.node.hidden = false;
    say(going.node, `A drain is under way: ${count(drain.closed)} closed, ${count(drain.sessions)} still here.`);
  }, () => {});
  return place;
}
