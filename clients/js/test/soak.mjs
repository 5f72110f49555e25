// Many players for a while, whose connections are cut, while the server is upgraded and then drained. Each number that a player
// misses has to have been told: by an open that says that the session is new, and why.
//
//   node test/soak.mjs PROGRAM [SECONDS [PLAYERS]]
//
// PROGRAM is the built `gannet`. Without SECONDS it is 20, with 60 players.
import assert from "node:assert/strict";
import { createClient } from "../src/client.js";
import { startRelay, startServer, until } from "./servers.mjs";
import { TestWebSocket } from "./websocket.mjs";

const [program, seconds = "20", count = "60"] = process.argv.slice(2);
if (!program) {
  console.error("usage: node test/soak.mjs PROGRAM [SECONDS [PLAYERS]]");
  process.exit(2);
}
const [lastMs, players] = [Number(seconds) * 1_000, Number(count)];
const CONFIG = "[apps.default.resume]\nlinger_ms = '120s'\nmessages = 500\n";
const TRANSPORTS = [["ws", "sse", "poll"], ["ws", "sse", "poll"], ["sse", "poll"], ["poll"]];
const startedAt = performance.now();
const elapsed = () => performance.now() - startedAt;
const seen = { received: 0, missedAndTold: 0, missed: 0, doubled: 0, opens: 0, resumed: 0, anew: {}, ends: {}, unconfirmed: 0, dropped: 0, full: 0 };

/** A player: what it receives are numbers that grow by one, and it sends such numbers. */
class Player {
  last = undefined;
  isNew = true;
  sent = 0;
  doubts = 0;

  constructor(number, address) {
    this.user = `p${number}`;
    this.client = createClient(`ws://${address}/ws`, { params: { user: this.user, group: "all" }, transports: TRANSPORTS[number % TRANSPORTS.length], WebSocket: TestWebSocket });
    this.client.on("message", (text) => this.take(Number(text)));
    this.client.on("state", (change) => this.change(change));
    this.client.on("drop", () => {
      seen.dropped += 1;
      this.doubts += 1;
    });
    this.client.connect();
  }

  take(number) {
    seen.received += 1;
    if (this.last !== undefined) {
      const missing = number - this.last - 1;
      if (this.isNew) seen.missedAndTold += Math.max(missing, 0);
      else if (missing > 0) seen.missed += missing;
      else if (missing < 0) seen.doubled += 1;
    }
    this.isNew = false;
    this.last = number;
  }

  change({ state, resumed, why, unconfirmed, code, status, why: how }) {
    const note = (list, what) => { list[what] = (list[what] ?? 0) + 1; };
    if (state === "waiting" || state === "closed") note(seen.ends, `${state} ${code ?? status ?? how ?? "error"}`);
    if (state !== "open") return;
    seen.opens += 1;
    seen.unconfirmed += unconfirmed;
    this.doubts += unconfirmed;
    if (resumed) seen.resumed += 1;
    else {
      note(seen.anew, why ?? "first");
      this.isNew = true;
    }
  }

  say() {
    const result = this.client.send(`${this.sent + 1}`);
    if (result === "full") seen.full += 1;
    else if (result !== "closed") this.sent += 1;
  }
}

/** What the backend of a server hears of players, until it is stopped. */
function listen({ ask }, heard) {
  let [isOver, query] = [false, ""];
  const ended = (async () => {
    for (let isLast = false; !isLast; ) {
      isLast = isOver;
      const { resume, received, events, resumed } = await ask(`/v1/events?events=message&wait_ms=200${query}`);
      assert.notEqual(resumed, false, "the feed of the test has been too slow");
      query = `&resume=${resume}&received=${received}`;
      for (const { user, text } of events) heard(user, Number(text));
    }
  })();
  return () => { isOver = true; return ended; };
}

const every = (ms, f) => {
  let isOver = false;
  const ended = (async () => {
    while (!isOver) {
      await f();
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  })();
  return () => { isOver = true; return ended; };
};

const [from, to] = [await startServer(program, CONFIG), await startServer(program, CONFIG)];
const relay = await startRelay(from.clients);
const all = [...Array(players).keys()].map((number) => new Player(number, relay.address));
const heard = new Map(all.map(({ user }) => [user, []]));
const hear = (user, number) => heard.get(user).push(number);
const stopListening = [listen(from, hear), listen(to, hear)];
await until("all of them", () => all.every(({ client }) => client.state === "open"));

let pushed = 0;
const stopPushing = every(50, async () => {
  pushed += 1;
  // Who changes from one to the other does not get a number twice: it has read it in the old session, or not at all.
  await Promise.all([from, to].map((server) => server.push("group=all", `${pushed}`)));
});
const stopSaying = every(200, async () => all.forEach((player) => player.say()));
let cuts = 0;
const stopCutting = every(500, async () => { cuts += relay.cutSome(0.05); });

const at = async (part) => { await new Promise((resolve) => setTimeout(resolve, Math.max(lastMs * part - elapsed(), 0))); };
await at(0.4);
await from.upgrade();
console.log(`at ${Math.round(elapsed() / 1e3)} s: upgraded`);
await at(0.7);
await stopCutting();
await until("all of them", () => all.every(({ client }) => client.state === "open"), 120_000);
const drainMs = Math.round(lastMs * 0.1);
await from.ask(`/v1/admin/drain?over_ms=${drainMs}&to=${encodeURIComponent(`ws://${to.clients}/ws`)}`, { method: "POST" });
console.log(`at ${Math.round(elapsed() / 1e3)} s: drained over ${drainMs} ms`);
await new Promise((resolve) => setTimeout(resolve, drainMs + 1_000));
const { closed } = await from.ask("/v1/admin/drain");
await from.ask("/v1/admin/drain", { method: "DELETE" });
await at(1);
await stopSaying();
// Numbers are pushed until everybody has got one of those that come from here on: a session that is new by then misses none of them.
const goal = pushed + 1;
await until("the last number", () => all.every(({ client, last }) => client.state === "open" && last >= goal), 120_000).catch((error) => {
  const late = all.filter(({ client, last }) => client.state !== "open" || last < goal);
  throw new Error(`${error.message}: ${goal}, but ${late.map(({ user, last, client }) => `${user} ${client.state} ${client.transport} ${last}`)}`);
});
await stopPushing();
for (const { client } of all) await until("all that it said is read", () => client.flush());
await Promise.all(stopListening.map((stop) => stop()));

/** What players said: in order, none twice; and those that are missing are no more than were told to be in doubt. */
let [said, arrived, lost] = [0, 0, 0];
for (const { user, sent, doubts } of all) {
  const numbers = heard.get(user);
  said += sent;
  arrived += numbers.length;
  lost += sent - numbers.length;
  assert.equal(new Set(numbers).size, numbers.length, `${user}: doubled: ${numbers}`);
  // A request that was cut may arrive behind later ones, and what is left of it on the other server is heard when it is read there.
  const late = numbers.filter((number, index) => numbers.slice(0, index).some((before) => before > number));
  assert.ok(late.length <= doubts, `${user}: ${late} came late, and ${doubts} were in doubt`);
  assert.ok(sent - numbers.length <= doubts, `${user}: ${sent} were taken and ${numbers.length} arrived, of which ${doubts} were in doubt`);
}
const transports = all.reduce((sum, { client: { transport } }) => ({ ...sum, [transport]: (sum[transport] ?? 0) + 1 }), {});
console.log(`${players} players, ${Math.round(elapsed() / 1e3)} s, ${cuts} connections cut, one upgrade, ${closed} sessions drained`);
console.log(`ends: ${JSON.stringify(seen.ends)}`);
console.log(`opened ${seen.opens} times: ${seen.resumed} resumed, new ${JSON.stringify(seen.anew)}; in the end over ${JSON.stringify(transports)}`);
console.log(`to players: ${pushed} numbers, ${seen.received} received; missed and told ${seen.missedAndTold}, missed without a word ${seen.missed}, doubled or out of order ${seen.doubled}`);
console.log(`from players: ${said} taken, ${arrived} arrived; ${lost} lost, ${seen.unconfirmed} told as unconfirmed, ${seen.dropped} as dropped; ${seen.full} not taken`);
assert.equal(seen.missed, 0);
assert.equal(seen.doubled, 0);
assert.ok(seen.resumed > 0 && cuts > 0 && closed > 0, "nothing has happened");
all.forEach(({ client }) => client.close());
relay.stop();
await Promise.all([from.stop(), to.stop()]);
console.log("1 passed, 0 failed");
process.exit(0);
