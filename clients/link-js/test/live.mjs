// The client against a real server.
//
//   node test/live.mjs PROGRAM [NAME]
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, a minute at most.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startRelay, startServer, until } from "../../js/test/servers.mjs";
import { TestWebSocket } from "../../js/test/websocket.mjs";
import { Messages } from "../src/frames.js";
import { Link, LinkError, LinkLost } from "../src/link.js";
import { finish, test as counted } from "../../../tests/counted.mjs";

const [program, only] = process.argv.slice(2);
if (!program) {
  console.error("usage: node test/live.mjs PROGRAM [NAME]");
  process.exit(2);
}
const QUIET = "[timeouts]\nlink_idle_ms = '60s'\n"; // a machine that is busy ends no link
const MEMORY = "[[apps.default.groups]]\nprefix = 'chat/'\nlatest = true\nlog = { messages = 100, bytes = 65536, ttl_ms = 600000 }\n";
const SOON = { backoff: { leastMs: 10, firstMs: 20 } };
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const camelKeys = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [camel(name), value]));
const numbers = (from, to) => [...Array(to - from).keys()].map((number) => `${from + number}`);
const stops = [];

const test = (name, body) => (only && !name.includes(only) ? undefined : counted(name, body));

const stopped = (it) => {
  stops.push(() => it.stop());
  return it;
};
const server = async (...args) => stopped(await startServer(program, ...args));
const relayTo = async (url) => stopped(await startRelay(url.replace("http://", "")));
const linkTo = (url, options) => {
  const link = new Link(url, { ...SOON, ...options });
  stops.unshift(() => link.close());
  return link;
};

/** A player, and what it gets. */
async function player({ clients }, user) {
  const socket = new TestWebSocket(`ws://${clients}/ws?user=${user}`, ["gannet.v1"]);
  const it = { socket, got: [], session: undefined };
  socket.binaryType = "arraybuffer";
  socket.onclose = ({ code }) => { it.closed = code; };
  socket.onmessage = ({ data }) => {
    if (!it.session) it.session = JSON.parse(data).session;
    else if (typeof data !== "string" || !data.startsWith("\x1e")) it.got.push(typeof data === "string" ? data : Buffer.from(data).toString("hex"));
  };
  await until("the welcome", () => it.session);
  return it;
}

/** Takes events until so many have come that are of `kinds`. */
async function take(stream, count, kinds = ["message"]) {
  const list = [];
  while (list.length < count) {
    const { value, done } = await stream.next();
    assert.ok(!done, "the stream has ended");
    if (kinds.includes(value.event)) list.push(value);
  }
  return list;
}

const main = await server(MEMORY + QUIET);

await test("every operation that the server has is a method, and does what it says", async () => {
  const link = linkTo(main.backend);
  const stream = link.events(["open", "close"], { share: "game", name: "m1" });
  const { components: { schemas } } = await main.ask("/v1/openapi.json");
  const all = Object.values(schemas).map(({ properties }) => properties?.op?.const).filter(Boolean).sort();
  const ada = await player(main, "ada");
  const bob = await player(main, "bob");
  await take(stream, 2, ["open"]);
  const steps = JSON.parse(readFileSync(new URL("../../link-operations.json", import.meta.url)).toString().replaceAll("$ada", ada.session).replaceAll("$bob", bob.session));
  assert.deepEqual([...new Set([...steps.map(({ op }) => op), "listen"])].sort(), all);
  for (const { op, fields: { to, message, ...fields }, ok, error } of steps) {
    const is = message?.base64 ? Buffer.from(message.base64, "base64") : message?.json ?? message;
    const reply = op === "push" ? link.push(camelKeys(to), is, camelKeys(fields)) : link[camel(op)](camelKeys({ ...fields, ...(to && { to }) }));
    const outcome = await reply.catch((failed) => failed);
    if (error) assert.deepEqual([op, outcome instanceof LinkError, outcome.code], [op, true, error]);
    else assert.deepEqual({ op, ...outcome }, { op, ...outcome, ...ok });
  }
  assert.deepEqual([ada.got, bob.got], [["hällo", '{"score":[3,null]}', "000102"], ["hällo"]]);
  await until("the kick", () => ada.closed === 4001);
  bob.socket.close(1000);
  await take(stream, 1, ["close"]);
  await stream.close();
});

await test("events of a session come in order: open, its messages, close", async () => {
  const link = linkTo(main.backend);
  const stream = link.events(["open", "message", "close"], { with: ["groups"], numbers: true });
  await stream.ready();
  const eve = await player(main, "eve");
  for (const number of numbers(0, 100)) eve.socket.send(number);
  eve.socket.close(1000);
  const events = (await take(stream, 102, ["open", "message", "close"])).filter(({ user }) => user === "eve");
  assert.deepEqual(events.map(({ event, text }) => text ?? event), ["open", ...numbers(0, 100), "close"]);
  assert.deepEqual(events.map(({ n }) => n), [...Array(102).keys()].map((n) => n + 1));
  assert.deepEqual(events[0].groups, []);
  await link.close();
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
});

await test("every event once, through cuts, while another connection is cut too and commands are lost by that", async () => {
  const relay = await relayTo(main.backend);
  const link = linkTo(`http://${relay.address}`);
  const stream = link.events(["message"], { name: "cuts" });
  await stream.ready();
  const gus = await player(main, "gus");
  let lost = 0;
  const reading = take(stream, 400);
  for (const number of numbers(0, 400)) {
    gus.socket.send(number);
    await link.push({ user: "gus" }, number).catch((error) => {
      assert.ok(error instanceof LinkLost, error);
      lost += 1;
    });
    if (Number(number) % 50 === 25) relay.cut();
  }
  assert.deepEqual((await reading).map(({ text }) => text), numbers(0, 400));
  await until("the pushes", () => gus.got.length >= 400 - lost);
  assert.equal(new Set(gus.got).size, gus.got.length);
  assert.ok(gus.got.length >= 400 - lost);
  assert.deepEqual(gus.got, gus.got.toSorted?.((a, b) => a - b) ?? gus.got);
  await link.close();
});

await test("a program that does not ask for events for a while gets each once: its link is given up, and comes back", async () => {
  const slow = await server("[timeouts]\nlink_idle_ms = '1s'\nlink_ping_ms = '100ms'\nlink_stalled_ms = '1s'\n");
  const link = linkTo(slow.backend, { heldEvents: 16, pausedMs: 100 });
  const stream = link.events(["message"]);
  await stream.ready();
  const hal = await player(slow, "hal");
  const filler = "x".repeat(4_000);
  for (const number of numbers(0, 3_000)) hal.socket.send(number + filler);
  const first = await take(stream, 1);
  const metric = async (name) => (await (await fetch(`${slow.backend}/metrics`)).text()).split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").pop()), 0);
  await until("it was given up and is back", async () => (await metric("gannet_link_resumes_total")) >= 2);
  const rest = await take(stream, 2_999);
  assert.deepEqual([...first, ...rest].map(({ text }) => text.replace(filler, "")), numbers(0, 3_000));
  assert.equal(await metric("gannet_link_events_lost_total"), 0);
  await link.close();
});

await test("a server that was started anew is a gap, and is listened to; commands go on there", async () => {
  const [from, to] = [await server(QUIET), await server(QUIET)];
  const relay = await relayTo(from.backend);
  const link = linkTo(`http://${relay.address}`);
  const stream = link.events(["message"]);
  await stream.ready();
  const ida = await player(from, "ida");
  ida.socket.send("before");
  assert.equal((await take(stream, 1))[0].text, "before");
  relay.upstream = to.backend.replace("http://", "");
  relay.cut();
  assert.deepEqual((await stream.next()).value, { event: "gap" });
  const jan = await player(to, "jan");
  jan.socket.send("behind");
  assert.equal((await take(stream, 1))[0].text, "behind");
  assert.equal((await link.push({ user: "jan" }, "hi", { receipt: "written" })).written, 1);
  await link.close();
});

await test("a server that is upgraded loses no event and no push", async () => {
  const old = await server(QUIET);
  const link = linkTo(old.backend);
  const stream = link.events(["message"]);
  await stream.ready();
  const kim = await player(old, "kim");
  const reading = take(stream, 60);
  let lost = 0;
  for (const number of numbers(0, 60)) {
    kim.socket.send(number);
    await link.push({ user: "kim" }, number).catch((error) => {
      assert.ok(error instanceof LinkLost && error.maybeDone, error);
      lost += 1;
    });
    if (number === "30") await old.upgrade();
  }
  assert.deepEqual((await reading).map(({ text }) => text), numbers(0, 60));
  await until("the pushes", () => kim.got.length >= 60 - lost);
  console.log(`  ${lost} pushes without a reply`);
  await link.close();
});

await test("another process goes on where one was that did not say goodbye", async () => {
  const relay = await relayTo(main.backend);
  const gone = linkTo(`http://${relay.address}`).events(["message"], { share: "place" });
  await gone.ready();
  const lea = await player(main, "lea");
  for (const number of numbers(0, 5)) lea.socket.send(number);
  assert.deepEqual((await take(gone, 3)).map(({ text }) => text), ["0", "1", "2"]);
  const { place } = gone;
  assert.equal(place.received, 2);
  relay.blocks = () => true;
  relay.cut();
  const next = linkTo(main.backend).events(["message"], { share: "place", resume: place });
  lea.socket.send("5");
  // What was not known to be read comes again.
  assert.deepEqual((await take(next, 4)).map(({ text }) => text), ["2", "3", "4", "5"]);
  await next.close();
});

await test("keys: a wrong one is final, one that may not do it is refused, one that is taken away ends the link", async () => {
  const config = "[backend]\nkey = '0123456789abcdef'\nkeys = [{ name = 'reader', key = 'fedcba9876543210', may = ['read'] }]\n";
  const guarded = await server(config);
  for (const key of [undefined, "wrongwrongwrongwrong"]) {
    const link = linkTo(guarded.backend, { key });
    await assert.rejects(link.stats(), { name: "LinkError", code: "unauthorized" });
    await assert.rejects(link.events(["open"]).next(), { name: "LinkError", code: "unauthorized" });
  }
  const reader = linkTo(guarded.backend, { key: "fedcba9876543210" });
  assert.equal((await reader.stats()).sessions, 0);
  await assert.rejects(reader.push({ all: true }, "x"), { name: "LinkError", code: "forbidden" });
  await assert.rejects(reader.events(["open"]).next(), { name: "LinkError", code: "forbidden" });
  writeFileSync(join(guarded.directory, "gannet.toml"), config.replace(/keys = .*/, ""));
  await guarded.ask("/v1/admin/reload", { method: "POST", headers: { Authorization: "Bearer 0123456789abcdef" } });
  await until("the end", () => reader.stats().then(() => false, ({ code }) => code === "unauthorized"));
});

await test("over TLS, with the server's certificate; without it there is no link", async () => {
  execFileSync(program, ["cert", "self-signed", "--out", main.directory]);
  const [ca, key] = ["cert.pem", "key.pem"].map((name) => readFileSync(join(main.directory, name), "utf8"));
  const secure = await server("[tls]\ncert = 'cert.pem'\nkey = 'key.pem'\nbackend = true\n", { "cert.pem": ca, "key.pem": key });
  const link = linkTo(secure.backend, { tls: { ca } });
  assert.equal((await link.stats()).sessions, 0);
  await assert.rejects(linkTo(secure.backend, { patienceMs: 200 }).stats(), { name: "LinkLost", maybeDone: false });
});

await test("10,000 pushes are pipelined, drained, and all answered", async () => {
  const link = linkTo(main.backend, { window: 128, waitingCommands: 1_000 });
  const mia = await player(main, "mia");
  const receipts = [];
  for (const number of numbers(0, 10_000)) {
    await link.drain();
    receipts.push(link.push({ user: "mia" }, number));
  }
  for (const { queued, dropped } of await Promise.all(receipts)) assert.equal(queued + dropped, 1);
  await until("the last", () => mia.got.at(-1) === "9999" || mia.closed);
  await assert.rejects(link.push({ all: true }, "\ud800"), TypeError);
  assert.equal((await link.push({ all: true }, "\\ud800 \ud83d\ude00")).matched > 0, true);
});

await test("frames are the same, however they are cut", () => {
  const bytes = Buffer.from([0x01, 2, 0xc3, 0xb6, 0x89, 1, 0x70, 0x80, 1, 0x78, 0x81, 126, 0, 3, 0x61, 0x62, 0x63, 0x88, 2, 3, 0xe8]);
  for (let first = 0; first <= bytes.length; first += 1) {
    for (let second = first; second <= bytes.length; second += 1) {
      const messages = new Messages(100);
      const got = [];
      for (const part of [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]) {
        messages.push(part);
        for (let one; (one = messages.next()); ) got.push([one.opcode, `${one.payload}`]);
      }
      assert.deepEqual(got, [[9, "p"], [1, "öx"], [1, "abc"], [8, "\x03\ufffd"]]);
    }
  }
});

for (const stop of stops) await stop();
finish();
process.exit(0);
