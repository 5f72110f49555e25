// Two backends, one in each language, beside many players for a while: their links are cut, the server is upgraded and then drained.
// Each event comes once and in its order, or a gap has told that some are missing; each push is done once, or is told as lost.
//
//   node test/soak.mjs PROGRAM [SECONDS [PLAYERS]]
//
// PROGRAM is the built `gannet`. Without SECONDS it is 8, with 40 players.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient } from "../../js/src/client.js";
import { startRelay, startServer, until } from "../../js/test/servers.mjs";
import { TestWebSocket } from "../../js/test/websocket.mjs";
import { Backend } from "./backend.mjs";

const [program, seconds = "8", count = "40"] = process.argv.slice(2);
if (!program) {
  console.error("usage: node test/soak.mjs PROGRAM [SECONDS [PLAYERS]]");
  process.exit(2);
}
const [lastMs, players] = [Number(seconds) * 1_000, Number(count)];
const CONFIG = "[timeouts]\nlink_idle_ms = '30s'\n";
const startedAt = performance.now();
const elapsed = () => performance.now() - startedAt;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A player: it says numbers that grow by one, and gets numbers that each backend has given it once. */
class Player {
  said = 0;
  unconfirmed = 0;
  got = { js: [], py: [] };

  constructor(number, address) {
    this.user = `p${number}`;
    this.client = createClient(`ws://${address}/ws`, { params: { user: this.user, group: `g${number % GROUPS}` }, transports: ["ws"], WebSocket: TestWebSocket });
    this.client.on("message", (text) => {
      const [backend, push] = text.split(" ");
      this.got[backend].push(Number(push));
    });
    this.client.on("state", (change) => {
      if (change.state === "open") this.unconfirmed += change.unconfirmed;
    });
    this.client.connect();
  }

  say() {
    if (["sent", "queued"].includes(this.client.send(`${this.said + 1}`))) this.said += 1;
  }
}

/** The backend in Python: what it says on its standard output is what ../../link-py/test/backend.py describes. */
async function startPython(...args) {
  const child = spawn("python3", [fileURLToPath(new URL("../../link-py/test/backend.py", import.meta.url)), ...args], { stdio: ["pipe", "pipe", "inherit"] });
  process.on("exit", () => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "ready");
  return {
    async stopPushing() {
      child.stdin.write("stop\n");
      assert.equal((await lines.next()).value, "stopped");
    },
    async end() {
      const closed = once(child, "close");
      child.stdin.end();
      const report = JSON.parse((await lines.next()).value);
      await closed;
      return report;
    },
  };
}

const startJavaScript = async (...urls) => {
  const backend = new Backend("js", urls, GROUPS);
  await backend.start();
  return { stopPushing: () => backend.stopPushing(), end: () => backend.end() };
};

const GROUPS = Math.max(1, Math.round(players / 20));
const [from, to] = [await startServer(program, CONFIG), await startServer(program, CONFIG)];
const relays = await Promise.all([from, to].map(({ backend }) => startRelay(backend.replace("http://", ""))));
const urls = relays.map(({ address }) => `http://${address}`);
const backends = { js: await startJavaScript(...urls), py: await startPython(`${GROUPS}`, ...urls) };
const all = [];
for (let number = 0; number < players; number += 1) {
  all.push(new Player(number, from.clients));
  if (number % 100 === 99) await until("a hundred more", () => all.every(({ client }) => client.state === "open"));
}
await until("all players", () => all.every(({ client }) => client.state === "open"));
console.log(`at ${Math.round(elapsed() / 1e3)} s: ${players} players`);

let isOver = false;
const talking = (async () => {
  while (!isOver) {
    // Each says something every two seconds, and a twentieth of them at a time.
    for (let part = 0; part < 20 && !isOver; part += 1) {
      all.filter((_, number) => number % 20 === part).forEach((player) => player.say());
      await sleep(100);
    }
  }
})();
let cuts = 0;
const cutting = (async () => {
  while (!isOver) {
    await sleep(Math.max(300, lastMs / 200));
    for (const relay of relays) cuts += relay.cutSome(0.3);
  }
})();

const at = async (part) => sleep(Math.max(lastMs * part - elapsed(), 0));
await at(0.4);
await from.upgrade();
console.log(`at ${Math.round(elapsed() / 1e3)} s: upgraded`);
await at(0.6);
const drainMs = Math.round(lastMs * 0.2);
await from.ask(`/v1/admin/drain?over_ms=${drainMs}&to=${encodeURIComponent(`ws://${to.clients}/ws`)}`, { method: "POST" });
console.log(`at ${Math.round(elapsed() / 1e3)} s: drained over ${drainMs} ms`);
await until("the drain", async () => (await from.ask("/v1/stats")).sessions === 0, drainMs + 120_000);
await until("all players", () => all.every(({ client }) => client.state === "open"), 120_000);
await at(1);
isOver = true;
await Promise.all([talking, cutting]);
for (const { client } of all) await until("all that it said is read", () => client.flush());
for (const backend of Object.values(backends)) await backend.stopPushing();
// A push that is done is in the sessions' queues: a last one comes behind it.
const last = 1e9;
for (const name of ["js", "py"]) await to.push("all=true", `${name} ${last}`);
await until("the last push", () => all.every(({ got }) => got.js.at(-1) === last && got.py.at(-1) === last), 120_000);
all.forEach(({ client }) => client.close());
await until("the ends", async () => (await to.ask("/v1/stats")).sessions === 0);
const metric = async ({ backend }, name) => (await (await fetch(`${backend}/metrics`)).text()).split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").pop()), 0);
const lostEvents = await metric(from, "gannet_link_events_lost_total") + await metric(to, "gannet_link_events_lost_total");

let [said, unconfirmed] = [0, 0];
for (const player of all) [said, unconfirmed] = [said + player.said, unconfirmed + player.unconfirmed];
const told = [];
for (const [name, backend] of Object.entries(backends)) {
  const report = await backend.end();
  const { heard, gaps, wrong, doubled, pushed, lost, done } = report;
  told.push(report);
  console.log(`${name}: ${heard} messages heard of ${said}, ${gaps} gaps, ${wrong} out of order, ${doubled} doubled, ${report.closes} of ${report.opens} sessions closed`);
  console.log(`${name}: ${pushed} pushes: ${done} answered, ${lost} lost and perhaps done, ${report.busy} refused as busy, written ${report.written} times`);
  // Each message once: what is missing was never known to have been sent, or was told by a gap.
  assert.equal(wrong, 0, `${name}: ${report.first}`);
  assert.equal(doubled, 0);
  assert.equal(done + lost + report.busy, pushed);
  if (gaps === 0) {
    assert.ok(said - heard <= unconfirmed, `${name}: ${said} were said and ${heard} heard, of which ${unconfirmed} were in doubt`);
    assert.equal(report.closes, report.opens);
  }
  const gotten = all.reduce((sum, { got }) => sum + got[name].filter((number) => number !== last).length, 0);
  const twice = all.filter(({ got }) => new Set(got[name]).size !== got[name].length);
  console.log(`${name}: ${gotten} pushes read by players`);
  assert.deepEqual(twice.map(({ user }) => user), []);
  // A push without a reply is done once or not at all.
  assert.ok(gotten >= report.written, `${name}: written ${report.written} times, ${gotten} read`);
  assert.ok(gotten <= report.written + report.unknown + lost * Math.ceil(players / GROUPS), `${name}: written ${report.written} times, ${gotten} read`);
}
console.log(`${players} players, ${Math.round(elapsed() / 1e3)} s, ${cuts} connections of links cut, one upgrade, one drain; ${lostEvents} events counted as lost, ${unconfirmed} messages of players in doubt`);
assert.equal(lostEvents, 0);
assert.ok(cuts > 0 && told.every(({ heard, done }) => heard > 0 && done > 0), "nothing has happened");
relays.forEach((relay) => relay.stop());
await Promise.all([from.stop(), to.stop()]);
console.log("1 passed, 0 failed");
process.exit(0);
