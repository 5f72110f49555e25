// The examples in contrib/haproxy and contrib/nginx, run with other addresses, before real servers: players come through, gannet knows
// where they are, and a server that drains gets no new ones.
//
//   node tests/proxies.mjs PROGRAM
//
// PROGRAM is the built `gannet`; haproxy and nginx have to be there.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer, until } from "../clients/js/test/servers.mjs";
import { freePort } from "./ports.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/proxies.mjs PROGRAM");
  process.exit(2);
}
const PLAYER = "127.0.0.2"; // where players are: the proxies are 127.0.0.1
const folder = mkdtempSync(join(tmpdir(), "gannet-proxies-"));
execFileSync(program, ["cert", "self-signed", "--out", folder], { stdio: "ignore" });
const [cert, key] = ["cert.pem", "key.pem"].map((name) => readFileSync(join(folder, name), "utf8"));
writeFileSync(join(folder, "game.pem"), cert + key);
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let passed = 0;

/** An example with other addresses than it has. */
function example(name, replacements) {
  let text = readFileSync(new URL(`../contrib/${name}`, import.meta.url), "utf8");
  for (const [from, to] of Object.entries(replacements)) {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** A player through the proxy: its session and its own address, or the status of the refusal. */
function connect(port, user) {
  return new Promise((resolve, reject) => {
    const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": randomBytes(16).toString("base64"), "X-Forwarded-For": "203.0.113.9" };
    const asking = request({ host: "127.0.0.1", port, servername: "localhost", localAddress: PLAYER, path: `/ws?user=${user}`, headers, ca: cert, agent: false });
    asking.on("error", reject).on("response", (response) => (response.resume(), resolve({ status: response.statusCode })));
    asking.on("upgrade", (_, socket, head) => {
      socket.on("error", () => {});
      const welcome = (data) => resolve({ socket, address: `${socket.localAddress}:${socket.localPort}`, session: JSON.parse(data.subarray(data[1] < 126 ? 2 : 4)).session });
      if (head.length > 0) welcome(head);
      else socket.once("data", welcome);
    });
    asking.end();
  });
}

/** Starts a proxy before two servers, runs what is to be seen, and ends it. */
async function test(name, config, command, body) {
  const nodes = [await startServer(program, config), await startServer(program, config)];
  const port = await freePort();
  const proxy = spawn(...command(port, nodes.map(({ clients }) => clients)), { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(proxy, "exit");
  process.on("exit", () => proxy.kill());
  await until(`${name} is there`, async () => (await connect(port, "first").catch(() => ({}))).session);
  await body(port, nodes);
  proxy.kill();
  await ended;
  for (const node of nodes) await node.stop();
  passed += 1;
  console.log(`ok ${passed} - ${name}`);
}

const sessionsOf = async ({ ask }, user) => (await ask(`/v1/sessions?user=${user}`)).sessions;

/** Players come to both, gannet knows where they are, and new ones go to the other when one drains. */
const body = (addressOf) => async (port, nodes) => {
  const { address, session } = await connect(port, "ada");
  const found = (await Promise.all(nodes.map((node) => sessionsOf(node, "ada")))).flat();
  assert.deepEqual(found.map((one) => [one.session, one.remote]), [[session, addressOf(address)]]);
  await until("both have players", async () => {
    await connect(port, "many");
    return (await Promise.all(nodes.map((node) => sessionsOf(node, "many")))).every(({ length }) => length > 0);
  });
  const before = (await nodes[0].ask("/v1/stats")).sessions;
  await nodes[0].ask("/v1/admin/drain?over_ms=3600000", { method: "POST" });
  let row = 0;
  await until("new players go to the other", async () => {
    row = (await connect(port, "late").catch(() => ({}))).session ? row + 1 : 0;
    return row >= 5;
  });
  assert.ok((await sessionsOf(nodes[1], "late")).length >= 5);
  assert.ok((await nodes[0].ask("/v1/stats")).sessions >= before - 1, "those who are there stay");
};

await test("HAProxy", "[proxy]\nprotocol_from = ['127.0.0.1/32']\n", (port, [one, two]) => {
  const file = join(folder, "haproxy.cfg");
  writeFileSync(file, example("haproxy/haproxy.cfg", { "bind :443": `bind 127.0.0.1:${port}`, "/etc/haproxy/game.pem": join(folder, "game.pem"), "10.0.0.5:9000": one, "10.0.0.6:9000": two, "maxconn 100000": "maxconn 1000" }));
  return ["haproxy", ["-db", "-f", file]];
}, body((address) => address));

await test("nginx", "[proxy]\nforwarded_from = ['127.0.0.1/32']\n", (port, [one, two]) => {
  const server = example("nginx/gannet.conf", { "listen 443 ssl": `listen 127.0.0.1:${port} ssl`, "/etc/nginx/game.pem": join(folder, "cert.pem"), "/etc/nginx/game.key": join(folder, "key.pem"), "10.0.0.5:9000": one, "10.0.0.6:9000": two });
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${folder}/${what};`).join(" ");
  writeFileSync(join(folder, "nginx.conf"), `daemon off; pid nginx.pid;\nevents {}\nhttp { access_log off; ${temp}\n${server}\n}\n`);
  return ["nginx", ["-p", folder, "-c", "nginx.conf", "-e", "error.log"]];
}, body(() => `${PLAYER}:0`));

console.log(`${passed} passed, 0 failed`);
process.exit(0);
