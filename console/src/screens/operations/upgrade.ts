// The upgrade, in three steps: rehearse it, do it, see that the new process answers.
import { post } from "../../api.js";
import { dangerBox } from "../../danger.js";
import { classed, h, say } from "../../dom.js";
import { count, plural } from "../../format.js";
import type { Model } from "../../model.js";
import { button, field, input, resultPlace, type Result } from "../../parts.js";

interface Upgraded {
  dry_run: boolean;
  version: string;
  pid: number;
  reactors: number;
  sessions: number;
  connections: number;
  took_ms: number;
  longest_ms: number;
  notes: string[];
}

const STEPS = [
  ["1 Rehearse", "The new process starts, reads its configuration, answers and ends."],
  ["2 Upgrade", "Sessions pause for a moment and stay. If the new process fails, this one goes on."],
  ["3 Check", "The answer comes from the new process. This page goes on with it."],
] as const;

export function upgradeBox(model: Model): HTMLElement {
  const binary = input({ placeholder: "the path that this one was started from" });
  const result = resultPlace();
  const steps = STEPS.map(([name, words]) => h("li", null, h("h3", null, name), h("p", null, words)));
  const tell = (at: number, words: string) => {
    classed(steps[at] as Element, "done", true);
    say(steps[at]?.querySelector("p") as Element, words);
  };
  const rehearse = async () => {
    result.wait("The new process starts.");
    const began = performance.now();
    try {
      const { version } = await post<Upgraded>(["v1", "admin", "upgrade"], { dry_run: 1, binary: binary.value });
      const took = Math.round(performance.now() - began);
      tell(0, `${version} answered in ${count(took)} ms; there are ${plural(model.tick?.sessions ?? 0, "session")} to take over.`);
      result.show({ counts: [["version", version]], text: "The rehearsal changed nothing." });
    } catch (error) {
      result.fail(error);
    }
  };
  const upgrade = async (): Promise<Result> => {
    const done = await post<Upgraded>(["v1", "admin", "upgrade"], { binary: binary.value });
    tell(1, `${plural(done.sessions, "session")} and ${plural(done.connections, "connection")} were taken over; no socket waited for longer than ${count(done.longest_ms)} ms.`);
    tell(2, `Process ${done.pid}, ${done.version}, has answered.`);
    return { counts: [["version", done.version], ["process", String(done.pid)], ["sessions", count(done.sessions)], ["took", `${count(done.took_ms)} ms`]], text: done.notes.length ? done.notes.join("; ") : "All was carried over." };
  };
  const box = dangerBox({
    title: "Upgrade", text: "A new process takes over the open connections. The rehearsal changes nothing.",
    above: h("ol", { class: "steps" }, steps), fields: [field("Program", binary)], beside: button("Rehearse", () => void rehearse()),
    asks: "Upgrade…", does: () => `Hand ${plural(model.tick?.sessions ?? 0, "session")} over`, name: model.serverName, act: upgrade,
  });
  box.append(result.node);
  return box;
}
