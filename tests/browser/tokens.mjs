// Shows a token among the subprotocols from a page in headless Chromium, and speaks gannet's own messages there.
//
//   node tests/browser/tokens.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, and a minute ends it all.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startChromium } from "./chromium.mjs";
import { passed, test } from "./tests.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/browser/tokens.mjs PROGRAM");
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), "gannet-tokens-"));
const secrets = join(directory, "default.secrets");
const ends = setTimeout(() => fail(new Error("it took more than a minute")), 60_000);

// A page from elsewhere, about:blank included, may not reach the local network.
const pages = createServer((_, response) => response.end("<!doctype html><title>tokens</title>"));
pages.listen(0, "127.0.0.1");
await once(pages, "listening");

let server;
let browser;
async function stopAll() {
  clearTimeout(ends);
  await browser?.close();
  pages.close();
  pages.closeAllConnections();
  if (server && server.exitCode === null) {
    const ended = once(server, "exit");
    server.kill();
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}

async function fail(error) {
  console.error(error);
  await stopAll();
  process.exit(1);
}

async function startServer() {
  writeFileSync(secrets, randomBytes(32).toString("hex"));
  const config = join(directory, "gannet.toml");
  writeFileSync(config, "[apps.default]\nsecrets_file = 'default.secrets'\n");
  const flags = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--config", config];
  server = spawn(program, ["serve", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  server.on("error", fail);
  const addresses = {};
  for await (const line of createInterface({ input: server.stdout })) {
    addresses.clients ??= line.match(/ws:\/\/[\d.]+:\d+/)?.[0];
    addresses.backend ??= line.match(/http:\/\/[\d.]+:\d+/)?.[0];
    if (addresses.clients && addresses.backend) return addresses;
  }
  throw new Error("the server ended");
}

const mint = (user) =>
  execFileSync(program, ["token", "mint", "--user", user, "--secret-file", secrets], { encoding: "utf8" }).trim();

/** Opens a WebSocket in the page as `socket`, which keeps what happens to it. */
const connect = async (page, url, subprotocols) => {
  await page.until("the page", `document.title === "tokens"`);
  await page.evaluate(`window.log = []; window.end = undefined;
    window.socket = new WebSocket(${JSON.stringify(url)}, ${JSON.stringify(subprotocols)});
    socket.onmessage = ({ data }) => log.push(data);
    socket.onclose = ({ code }) => { window.end = code; }; 0`);
};

try {
  const { clients, backend } = await startServer();
  browser = await startChromium();
  const page = await browser.openPage(`http://127.0.0.1:${pages.address().port}/`, 400, 300);
  await test("a page shows its token as a subprotocol, and another one is selected", async () => {
    await connect(page, `${clients}/ws`, ["gannet.v1", `gannet.token.${mint("ada")}`]);
    await page.until("the welcome", `log.length === 1 && JSON.parse(log[0]).user === "ada"`);
    assert.deepEqual(await page.evaluate(`[socket.protocol, new URL(socket.url).search]`), ["gannet.v1", ""]);
  });
  await test("the server tells the page the time, and renews its token", async () => {
    await page.evaluate(`socket.send("\\u001e" + JSON.stringify({ type: "time", t: 1.5 }))`);
    await page.until("the time", `log.length === 2`);
    const renew = JSON.stringify({ type: "renew", token: mint("ada") });
    await page.evaluate(`socket.send("\\u001e" + ${JSON.stringify(renew)})`);
    await page.until("the new end", `log.length === 3`);
    const [time, renewed] = (await page.evaluate(`log.slice(1)`)).map((text) => {
      assert.equal(text[0], "\u001e");
      return JSON.parse(text.slice(1));
    });
    assert.deepEqual([time.type, time.t, renewed.type], ["time", 1.5, "renewed"]);
    assert(renewed.expires_unix_ms > time.server_unix_ms);
  });
  await test("the game's texts are told apart from gannet's own", async () => {
    const body = "\u001e{}";
    const reply = await fetch(`${backend}/v1/push?user=ada`, { method: "POST", body });
    assert.equal((await reply.json()).queued, 1);
    await page.until("the push", `log.length === 4`);
    assert.equal(await page.evaluate(`log[3]`), "\u001e" + body);
  });
  await test("of the token alone none is selected, and the page is told at once", async () => {
    await connect(page, `${clients}/ws`, [`gannet.token.${mint("ada")}`]);
    await page.until("the refusal", `window.end`);
    assert.equal(await page.evaluate(`window.end`), 1006);
  });
  await test("a token that is no valid one opens nothing", async () => {
    await connect(page, `${clients}/ws`, ["gannet.v1", `gannet.token.${mint("ada")}x`]);
    await page.until("the refusal", `window.end`);
    const stats = await (await fetch(`${backend}/v1/stats`)).json();
    assert.deepEqual([stats.opened, stats.refused.unauthorized, stats.refused.malformed], [1, 1, 1]);
  });
} catch (error) {
  await fail(error);
}
await stopAll();
console.log(`${passed()} passed, 0 failed`);
