// Connects to `gannet serve` with wss:// from a page in headless Chromium.
//
//   node tests/browser/wss.mjs PROGRAM
//
// PROGRAM is the built `gannet`. The browser takes the server's self-signed certificate by the hash of its key, and no
// other. Nothing is timed: what has to happen is waited for, and five minutes end it all.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "./tests.mjs";
import { inBrowsers } from "./world.mjs";

/** Opens a WebSocket in the page as `socket`, which keeps what happens to it. */
const connect = async (page, url) => {
  await page.until("the page", `document.title === "wss"`);
  await page.evaluate(`window.log = []; window.socket = new WebSocket(${JSON.stringify(url)}); socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => log.push(typeof data === "string" ? data : data.byteLength);
    socket.onclose = ({ code, reason }) => { window.end = [code, reason]; }; 0`);
};

await inBrowsers("wss", async (world) => {
  execFileSync(world.program, ["cert", "self-signed", "--out", world.directory]);
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(world.directory, name));
  const { clients: listening, backend } = await world.serve(["--echo", "--tls-cert", cert, "--tls-key", key]);
  // The certificate has the name, not the address.
  const clients = new URL(listening).port;
  const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: "spki", format: "der" });
  const pin = createHash("sha256").update(spki).digest("base64");
  const openPage = async (flags) => world.openPage(await world.browse(flags));
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
    // The browser is through with it before the server has counted.
    const deadline = Date.now() + 60_000;
    for (let refused = {}; !(refused.refused + refused.gone >= 1); ) {
      assert(Date.now() < deadline, JSON.stringify(refused));
      refused = (await (await fetch(`${backend}/v1/stats`)).json()).tls_handshakes;
    }
  });
});
