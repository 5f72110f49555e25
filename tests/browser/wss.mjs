// Connects to `gannet serve` with wss:// from a page in headless Chromium.
//
//   node tests/browser/wss.mjs PROGRAM
//
// PROGRAM is the built `gannet`. The browser takes the server's self-signed certificate by the hash of its key, and no
// other. Nothing is timed: what has to happen is waited for, and a minute ends it all.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startChromium } from "./chromium.mjs";
import { passed, test } from "./tests.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/browser/wss.mjs PROGRAM");
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), "gannet-wss-"));
const ends = setTimeout(() => fail(new Error("it took more than a minute")), 60_000);

// A page from elsewhere, about:blank included, may not reach the local network.
const pages = createServer((_, response) => response.end("<!doctype html><title>wss</title>"));
pages.listen(0, "127.0.0.1");
await once(pages, "listening");

let server;
const browsers = [];
async function stopAll() {
  clearTimeout(ends);
  for (const browser of browsers) await browser.close();
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
  execFileSync(program, ["cert", "self-signed", "--out", directory]);
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(directory, name));
  const flags = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--echo", "--tls-cert", cert, "--tls-key", key];
  server = spawn(program, ["serve", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  server.on("error", fail);
  const addresses = {};
  for await (const line of createInterface({ input: server.stdout })) {
    addresses.clients ??= line.match(/wss:\/\/[\d.]+:(\d+)/)?.[1];
    addresses.backend ??= line.match(/http:\/\/[\d.]+:\d+/)?.[0];
    if (addresses.clients && addresses.backend) break;
  }
  const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: "spki", format: "der" });
  return { ...addresses, pin: createHash("sha256").update(spki).digest("base64") };
}

async function openPage(flags) {
  const browser = await startChromium(flags);
  browsers.push(browser);
  return browser.openPage(`http://127.0.0.1:${pages.address().port}/`, 400, 300);
}

/** Opens a WebSocket in the page as `socket`, which keeps what happens to it. */
const connect = async (page, url) => {
  await page.until("the page", `document.title === "wss"`);
  await page.evaluate(`window.log = []; window.socket = new WebSocket(${JSON.stringify(url)}); socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => log.push(typeof data === "string" ? data : data.byteLength);
    socket.onclose = ({ code, reason }) => { window.end = [code, reason]; }; 0`);
};

try {
  const { clients, backend, pin } = await startServer();
  const page = await openPage([`--ignore-certificate-errors-spki-list=${pin}`]);
  await test("a page connects with wss:// and is welcomed", async () => {
    await connect(page, `wss://localhost:${clients}/ws?user=ada`);
    await page.until("the welcome", `log.length === 1 && JSON.parse(log[0]).user === "ada"`);
  });
  await test("pushes arrive, text and binary, small and large", async () => {
    for (const body of ["hello", "x".repeat(1_000_000)]) {
      const reply = await fetch(`${backend}/v1/push?user=ada`, { method: "POST", body });
      assert.equal((await reply.json()).queued, 1);
    }
    const headers = { "Content-Type": "application/octet-stream" };
    await fetch(`${backend}/v1/push?user=ada`, { method: "POST", headers, body: new Uint8Array(70_000) });
    await page.until("all of them", `log.length === 4`);
    assert.deepEqual(await page.evaluate(`[log[1], log[2].length, log[3]]`), ["hello", 1_000_000, 70_000]);
  });
  await test("a close code arrives", async () => {
    await fetch(`${backend}/v1/users/ada?code=4001&reason=cheating`, { method: "DELETE" });
    await page.until("the end", `window.end`);
    assert.deepEqual(await page.evaluate(`window.end`), [4001, "cheating"]);
  });
  await test("what the page sends comes back", async () => {
    await connect(page, `wss://localhost:${clients}/echo`);
    await page.until("it is open", `socket.readyState === 1`);
    await page.evaluate(`socket.send("e".repeat(200_000))`);
    await page.until("the echo", `log.length === 1 && log[0].length === 200_000`);
  });
  await test("a browser that does not know the certificate does not connect", async () => {
    const stranger = await openPage([]);
    await connect(stranger, `wss://localhost:${clients}/ws`);
    await stranger.until("the refusal", `window.end`);
    assert.equal(await stranger.evaluate(`window.end[0]`), 1006);
    const refused = (await (await fetch(`${backend}/v1/stats`)).json()).tls_handshakes;
    assert(refused.refused + refused.gone >= 1, JSON.stringify(refused));
  });
} catch (error) {
  await fail(error);
}
await stopAll();
console.log(`${passed()} passed, 0 failed`);
