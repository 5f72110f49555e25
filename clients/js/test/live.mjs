// The client in Node against a real server, over each transport.
//
//   node test/live.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, a minute at most.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join as path } from "node:path";
import { createClient } from "../src/client.js";
import { startRelay, startServer, until } from "./servers.mjs";
import { TestWebSocket } from "./websocket.mjs";
import { finish, test as counted } from "../../../tests/counted.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node test/live.mjs PROGRAM");
  process.exit(2);
}
const only = process.argv[3];
const RESUME = "[apps.default.resume]\nlinger_ms = '60s'\nmessages = 1000\n";
const MARK = "\x1e";
const stops = [];

const test = (name, body) => (only && !name.includes(only) ? undefined : counted(name, body));

const server = async (...args) => {
  const it = await startServer(program, ...args);
  stops.push(it.stop);
  return it;
};
const relayTo = async (address) => {
  const it = await startRelay(address);
  stops.push(async () => it.stop());
  return it;
};

/** A client, and what it hears. */
function join(address, options) {
  const client = createClient(`ws://${address}/ws`, { WebSocket: TestWebSocket, ...options });
  const heard = { client, messages: [], changes: [], drops: [] };
  client.on("message", (data) => heard.messages.push(typeof data === "string" ? data : Buffer.from(data).toString("hex")));
  client.on("state", (change) => heard.changes.push(change));
  client.on("drop", (drop) => heard.drops.push(drop));
  client.connect();
  heard.opens = () => heard.changes.filter(({ state }) => state === "open");
  heard.open = (times = 1) => until(`open the ${times}. time`, () => heard.opens().length >= times);
  return heard;
}

/** Cuts a client off that waits to come back then. One that could come back at once may have done so before anybody looks. */
async function cutUntilItWaits(relay, client) {
  relay.blocks = () => true;
  relay.cut();
  await until("the end", () => client.state === "waiting");
  relay.blocks = () => false;
}

/** What the backend hears of players, from now on. */
async function feed({ ask }) {
  let [query, reading] = ["", undefined];
  const list = [];
  const next = async (waitMs) => {
    const answer = await ask(`/v1/events?events=message&wait_ms=${waitMs}${query}`);
    query = `&resume=${answer.resume}&received=${answer.received}`;
    list.push(...answer.events);
    reading = undefined;
  };
  await next(0);
  // One request at a time, for whoever waits.
  return { list, read: () => (reading ??= next(500)) };
}

/** So that what is cut often does not wait for long: the pauses have vectors. */
const soon = { retry: ({ code, status }) => (status === undefined && (code ?? 1006) === 1006 ? 20 : undefined) };
const numbers = (from, to) => [...Array(to - from).keys()].map((number) => `${from + number}`);

const main = await server(RESUME);
const events = await feed(main);
const heardOf = (user, count) => until(`${count} messages of ${user}`, async () => {
  const of = () => events.list.filter((event) => event.user === user);
  if (of().length < count) await events.read();
  return of().length >= count && of().map(({ text, data }) => text ?? Buffer.from(data, "base64").toString("hex"));
});

/** All that is the same over each transport. */
const over = async (transport) => {
  const as = (user) => ({ params: { user: `${user}-${transport}` }, transports: [transport] });

  await test(`${transport}: messages of every kind, both ways`, async () => {
    const { client, messages, open, changes } = join(main.clients, as("kinds"));
    await open();
    assert.equal(changes.at(-1).transport, transport);
    if (transport !== "poll") assert.equal(changes.at(-1).user, `kinds-${transport}`);
    const kinds = ["a", "", "two\nlines\n\n", "a\r\nb", `${MARK}{"type":"time"}`, `${MARK}${MARK}`, "ö\u2028😀", new Uint8Array([0, 255, 30]), new Uint8Array(0), "x".repeat(200_000)];
    for (const kind of kinds) await main.push(`user=kinds-${transport}`, kind);
    const same = kinds.map((kind) => (typeof kind === "string" ? kind : Buffer.from(kind).toString("hex")));
    await until("all of them", () => messages.length === kinds.length);
    assert.deepEqual(messages, same);
    assert.equal(client.received, kinds.length);
    for (const kind of kinds) await until("room", () => client.send(kind) !== "full");
    assert.deepEqual(await heardOf(`kinds-${transport}`, kinds.length), same);
    assert.equal(await client.flush(), true);
    client.close("bye");
  });

  await test(`${transport}: every number once, through cuts`, async () => {
    const relay = await relayTo(main.clients);
    const { client, messages, opens, open } = join(relay.address, { ...as("cuts"), ...soon });
    await open();
    for (const number of numbers(0, 200)) {
      await main.push(`user=cuts-${transport}`, number);
      if (Number(number) % 40 !== 20) continue;
      const times = opens().length;
      relay.cut();
      await open(times + 1);
    }
    await until("all of them", () => messages.length >= 200);
    assert.deepEqual(messages, numbers(0, 200));
    assert.equal(opens().length, 6);
    assert.ok(opens().slice(1).every(({ resumed, session }) => resumed && session === client.session));
    client.close();
    relay.stop();
  });

  await test(`${transport}: a server that is upgraded is not noticed`, async () => {
    const old = await server(RESUME);
    const { client, messages, changes, open } = join(old.clients, as("upgrade"));
    await open();
    await until("the time", () => client.serverTime());
    for (const number of numbers(0, 40)) {
      await old.push(`user=upgrade-${transport}`, number);
      if (number === "20") await old.upgrade();
    }
    await until("all of them", () => messages.length >= 40);
    assert.deepEqual(messages, numbers(0, 40));
    assert.equal(await client.flush(), true);
    assert.deepEqual(changes.map(({ state }) => state), ["connecting", "open"]);
    client.close();
  });

  await test(`${transport}: a session that missed too much is new, and says why`, async () => {
    const small = await server("[apps.default.resume]\nlinger_ms = '60s'\nmessages = 4\n[limits]\noutbox_messages = 8\n");
    const relay = await relayTo(small.clients);
    const { client, messages, changes, opens, open } = join(relay.address, { ...as("gap"), ...soon });
    await open();
    await small.push(`user=gap-${transport}`, "first");
    await until("it", () => messages.length === 1);
    relay.blocks = () => true;
    relay.cut();
    await until("the end", () => changes.at(-1).state !== "open");
    for (const number of numbers(0, 40)) await small.push(`user=gap-${transport}`, number);
    relay.blocks = () => false;
    await open(2);
    assert.deepEqual([opens()[1].resumed, opens()[1].why], [false, "gap"]);
    assert.equal(client.received, 0);
    assert.equal(messages.length, 1);
    await small.push(`user=gap-${transport}`, "anew");
    await until("it", () => messages.at(-1) === "anew");
    assert.equal(client.received, 1);
    client.close();
    relay.stop();
  });

  await test(`${transport}: a token is renewed before it ends, in the same session`, async () => {
    const secret = randomBytes(32).toString("hex");
    const guarded = await server(`${RESUME}[apps.default]\nsecrets_file = 'secret'\n[auth]\nleeway_ms = 0\nrenew_interval_ms = 0\n`, { secret });
    const mint = (ttl) => execFileSync(program, ["token", "mint", "--user", "ada", "--ttl", ttl, "--secret-file", path(guarded.directory, "secret")], { encoding: "utf8" }).trim();
    const asked = [];
    const { client, messages, changes, opens, open } = join(guarded.clients, { transports: [transport], token: async (why) => { asked.push(why); return mint("4s"); } });
    await open();
    await until("three renewals", () => asked.filter((why) => why === "renew").length >= 3);
    await guarded.push("user=ada", "still here");
    await until("a message", () => messages.length === 1);
    assert.deepEqual(changes.map(({ state }) => state), ["connecting", "open"]);
    assert.equal(asked[0], "connect");
    assert.equal(opens().length, 1);
    client.close();
  });

  await test(`${transport}: a token that ends is replaced, and a refused one closes at the second time`, async () => {
    const secret = randomBytes(32).toString("hex");
    const guarded = await server(`${RESUME}[apps.default]\nsecrets_file = 'secret'\n[auth]\nleeway_ms = 0\n`, { secret });
    const mint = (ttl) => execFileSync(program, ["token", "mint", "--user", "ada", "--ttl", ttl, "--secret-file", path(guarded.directory, "secret")], { encoding: "utf8" }).trim();
    const asked = [];
    // It does not renew: the session ends with its token.
    const token = async (why) => {
      asked.push(why);
      if (why === "renew") throw new Error("no renewals today");
      return mint(asked.length > 1 ? "1h" : "2s");
    };
    const { client, changes, opens, open } = join(guarded.clients, { transports: [transport], token });
    await open(2);
    assert.ok(asked.includes("expired"));
    assert.ok(changes.some(({ code, status }) => code === 4004 || status === 401), JSON.stringify(changes));
    assert.equal(opens()[1].resumed, false);
    client.close();
    if (transport === "ws") return;
    const refused = join(guarded.clients, { transports: [transport], token: "not.a.token" });
    await until("the end", () => refused.changes.at(-1).state === "closed");
    assert.equal(refused.changes.at(-1).status, 401);
    assert.match(refused.changes.at(-1).text, /unauthorized/);
  });

  // A drain closes connections: what goes by polls has none, and stays where it is.
  if (transport !== "poll") await test(`${transport}: an operator's drain leads to another server`, async () => {
    const [from, to] = [await server(RESUME), await server(RESUME)];
    const { client, messages, changes, opens, open } = join(from.clients, as("drain"));
    await open();
    await from.ask(`/v1/admin/drain?over_ms=1&to=${encodeURIComponent(`ws://${to.clients}/ws`)}`, { method: "POST" });
    await open(2);
    const [left] = changes.filter(({ state }) => state === "waiting");
    assert.equal(left.code, 1012);
    assert.equal(left.text, `after_ms=${left.delayMs} to=ws://${to.clients}/ws`);
    assert.equal(opens()[1].resumed, false);
    await to.push(`user=drain-${transport}`, "welcome");
    await until("a message", () => messages.length === 1);
    client.close();
  });

  await test(`${transport}: close() ends the session, also while it is away`, async () => {
    const sessions = async (user) => (await main.ask(`/v1/sessions?user=${user}-${transport}`)).count;
    const one = join(main.clients, as("leave"));
    await one.open();
    assert.equal(await sessions("leave"), 1);
    one.client.close();
    assert.equal(one.client.state, "closed");
    await until("it has gone", async () => (await sessions("leave")) === 0);
    const relay = await relayTo(main.clients);
    const other = join(relay.address, as("away"));
    await other.open();
    await cutUntilItWaits(relay, other.client);
    other.client.close();
    await until("it has gone", async () => (await sessions("away")) === 0);
    relay.stop();
  });

  await test(`${transport}: a kick is the end`, async () => {
    const { client, changes, open } = join(main.clients, as("kick"));
    await open();
    await until("the end", async () => {
      // The code of a kick that comes between two polls is told to nobody: the next poll gets another session.
      await main.ask(`/v1/users/kick-${transport}?code=4001&reason=cheating`, { method: "DELETE" });
      return client.state === "closed";
    });
    assert.deepEqual([changes.at(-1).code, changes.at(-1).text], [4001, "cheating"]);
  });

  await test(`${transport}: what is sent while away goes out in its order, and once`, async () => {
    const relay = await relayTo(main.clients);
    const { client, drops, open } = join(relay.address, as("queue"));
    await open();
    await cutUntilItWaits(relay, client);
    const results = ["1", "2", "3"].map((text) => client.send(text));
    results.push(client.send("4a", { key: "k" }), client.send("4b", { key: "k" }), client.send("5"));
    assert.deepEqual(results, Array(6).fill("queued"));
    assert.deepEqual(drops, [{ data: "4a", key: "k", why: "replaced" }]);
    await open(2);
    assert.equal(await until("read", () => client.flush()), true);
    assert.deepEqual(await heardOf(`queue-${transport}`, 5), ["1", "2", "3", "4b", "5"]);
    assert.equal(client.queued, 0);
    client.close();
    relay.stop();
  });

  await test(`${transport}: the server's time is within its bound`, async () => {
    const { client, open } = join(main.clients, as("time"));
    await open();
    const time = await until("it", () => client.serverTime());
    // The server runs on this machine: its clock is this one, which is told in whole milliseconds.
    const off = time.unixMs - Date.now();
    assert.ok(Math.abs(off) <= time.errorMs + 2, `off by ${off} ms, with a bound of ${time.errorMs} ms`);
    assert.ok(client.roundTripMs >= 0);
    client.close();
  });
};

await Promise.all(["ws", "sse", "poll"].map(over));

await test("where WebSockets are blocked it is an event stream, where that is too it is polls, and all is one session", async () => {
  const relay = await relayTo(main.clients);
  const { client, messages, opens, open } = join(relay.address, { params: { user: "blocked" }, ...soon });
  await open();
  assert.equal(client.transport, "ws");
  for (const [at, transport] of ["sse", "poll"].entries()) {
    const path = transport === "sse" ? /^GET \/ws/ : /^GET \/(ws|sse)/;
    relay.blocks = (head) => path.test(head);
    await main.push("user=blocked", `${at}`);
    await until("it", () => messages.length === at + 1);
    relay.cut();
    await until(transport, () => client.transport === transport, 120_000);
  }
  await main.push("user=blocked", "2");
  await until("it", () => messages.length === 3);
  assert.deepEqual(messages, ["0", "1", "2"]);
  assert.deepEqual(opens().map(({ transport }) => transport), ["ws", "sse", "poll"]);
  assert.equal(new Set(opens().map(({ session }) => session)).size, 1);
  client.close();
  relay.stop();
});

await test("a client that never had a WebSocket falls back after one failure", async () => {
  const { client, opens, open } = join(main.clients, { params: { user: "none" }, WebSocket: class { constructor() { throw new Error("no WebSocket"); } } });
  await open();
  assert.equal(opens()[0].transport, "sse");
  client.close();
});

await Promise.all(stops.map((stop) => stop()));
finish();
process.exit(0);
