// What a program may write. It is checked by the compiler, and not run.
import { Link, LinkBusy, LinkError, LinkLost, type Event, type Place } from "../index.js";

const link = new Link("https://10.0.0.5:9001", { key: "secret", app: "chess", window: 64, tls: { ca: "…" }, backoff: { leastMs: 10 } });

async function play(place?: Place): Promise<void> {
  const receipt = await link.push({ user: "ada", allOf: [{ group: ["g", "h"] }, { tag: "ios" }] }, "hi", { ttlMs: 500, receipt: "written", class: "urgent" });
  const written: number = receipt.written ?? 0;
  await link.push({ all: true }, new Uint8Array([1, 2]), { except: { user: "bob" } });
  await link.push({ session: "00a0000000000001" }, { score: [3, written] });
  await link.join({ group: ["g", "h"], user: "ada", sticky: true, signal: AbortSignal.timeout(1_000) });
  await link.bind({ session: "00a0000000000001", user: null });
  await link.setGroups({ user: "ada", groups: [], prefix: "match:" });
  const { expires_unix_ms: until }: { expires_unix_ms: number } = await link.renew({ session: "00a0000000000001", forMs: 1_000 });
  const { messages } = await link.readLog({ group: "g", after: until });
  console.log(messages.at(-1)?.text, (await link.stats()).sessions);
  // @ts-expect-error: a group is missing
  await link.leave({ user: "ada" });
  // @ts-expect-error: join has no such field
  await link.join({ group: "g", sesion: "00a0000000000001" });
  const events = link.events(["open", "message"], { share: "game", with: ["groups"], resume: place });
  await events.ready();
  for await (const event of events) take(event);
  // @ts-expect-error: there is no such event
  link.events(["opened"]);
}

function take({ event, user, text }: Event): void {
  if (event === "gap") console.log("events were missed");
  else if (event === "message") console.log(user, text);
}

play().catch((error: unknown) => {
  if (error instanceof LinkBusy) return link.drain();
  if (error instanceof LinkLost) return console.log(error.maybeDone);
  if (error instanceof LinkError) return console.log(error.code);
  throw error;
}).then(() => link.close());
