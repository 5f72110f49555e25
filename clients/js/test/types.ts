// Compiled by test/package.mjs, never run: what a program in TypeScript may write.
import { type Change, type Client, createClient, type Data } from "gannet-client";

const client: Client = createClient("wss://game.example/ws", {
  token: async (why, signal) => {
    const response = await fetch(`/token?why=${why}`, { signal });
    return response.status === 401 ? null : response.text();
  },
  transports: ["ws", "sse"],
  queue: { messages: 10 },
  retry: ({ code }) => (code === 4001 ? false : undefined),
});
const remove: () => void = client.on("message", (data) => {
  const text: string = typeof data === "string" ? data : new TextDecoder().decode(data);
  console.log(text);
});
client.on("state", (change: Change) => console.log(change.state, change.resumed ?? change.code));
client.on("drop", ({ data, why }) => keep(data, why === "expired"));
const keep = (data: Data, isLate: boolean): void => console.log(data, isLate);
client.connect();
const sent: "sent" | "queued" | "full" | "closed" = client.send(new Uint8Array(2), { key: "position", ttlMs: 100 });
const read: Promise<boolean> = client.flush();
const now: number = client.serverTime()?.unixMs ?? Date.now();
remove();
console.log(sent, read, now);

// @ts-expect-error: there is no such event
client.on("open", () => {});
// @ts-expect-error: the state is not to be set
client.state = "open";
// @ts-expect-error: an object is no message
client.send({});
