// The client of clients/js in a page of another origin, in headless Chromium.
//
//   node tests/browser/client.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, and five minutes end it all.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startRelay } from "../../clients/js/test/servers.mjs";
import { test } from "./tests.mjs";
import { inBrowsers } from "./world.mjs";

const SOURCE = readFileSync(new URL("../../clients/js/dist/gannet.js", import.meta.url)).toString("base64");

/** Makes a client in the page as `client`, which keeps what happens to it. */
const start = async (page, url, token, options = {}) => {
  await page.until("the page", `document.title === "client"`);
  await page.evaluate(`window.log = []; window.changes = []; window.ready = false;
    import("data:text/javascript;base64,${SOURCE}").then(({ createClient }) => {
      window.client = createClient(${JSON.stringify(url)}, { token: async () => ${JSON.stringify(token)}, ...${JSON.stringify(options)} });
      client.on("message", (data) => log.push(typeof data === "string" ? data : [...new Uint8Array(data)]));
      client.on("state", (change) => changes.push(change));
      client.connect();
      window.ready = true;
    }); 0`);
  await page.until("the client", `window.ready`);
};
const opens = `changes.filter(({ state }) => state === "open")`;

await inBrowsers("client", async (world) => {
  const [secrets, config] = ["default.secrets", "gannet.toml"].map((name) => join(world.directory, name));
  writeFileSync(secrets, randomBytes(32).toString("hex"));
  writeFileSync(config, `[apps.default]\nsecrets_file = "default.secrets"\norigins = ["*"]\n[apps.default.resume]\nlinger_ms = "10m"\n`);
  const { clients, backend } = await world.serve(["--config", config]);
  const mint = (user) =>
    execFileSync(world.program, ["token", "mint", "--user", user, "--secret-file", secrets], { encoding: "utf8" }).trim();
  const push = async (user, body) => {
    const headers = typeof body === "string" ? {} : { "Content-Type": "application/octet-stream" };
    const reply = await fetch(`${backend}/v1/push?user=${user}`, { method: "POST", headers, body });
    assert.equal(reply.status, 200);
  };
  const relay = await startRelay(new URL(clients).host);
  const url = `ws://${relay.address}/ws`;
  const browser = await world.browse();
  const heirs = [];
  try {
    const page = await world.openPage(browser);
    await test("a page opens a session with its token, which is in no URL, and gets text and bytes", async () => {
      const heads = [];
      relay.blocks = (head) => (heads.push(head.split("\r\n")[0]), false);
      await start(page, url, mint("ada"));
      await page.until("the session", `client.state === "open"`);
      assert.deepEqual(await page.evaluate(`[client.transport, changes.at(-1).user]`), ["ws", "ada"]);
      assert.deepEqual(heads, ["GET /ws HTTP/1.1"]);
      await push("ada", "hi");
      await push("ada", new Uint8Array([0, 255]));
      await page.until("both", `log.length === 2`);
      assert.deepEqual(await page.evaluate(`log`), ["hi", [0, 255]]);
    });
    await test("cut connections and an upgrade cost no number", async () => {
      await page.evaluate(`log.length = 0`);
      for (let number = 0; number < 60; number += 1) {
        await push("ada", `${number}`);
        if (number % 30 === 10) relay.cut();
        if (number === 40) {
          const upgraded = await fetch(`${backend}/v1/admin/upgrade`, { method: "POST" });
          assert.equal(upgraded.status, 200);
          heirs.push((await upgraded.json()).pid);
        }
      }
      await page.until("all of them", `log.length >= 60`);
      assert.deepEqual(await page.evaluate(`log`), [...Array(60).keys()].map(String));
      assert.ok(await page.evaluate(`${opens}.slice(1).every(({ resumed }) => resumed)`));
    });
    await test("it knows the time, and what it sends is read", async () => {
      await page.until("the time", `client.serverTime()`);
      assert.ok(await page.evaluate(`Math.abs(client.serverTime().unixMs - Date.now()) <= client.serverTime().errorMs + 2`));
      await page.evaluate(`window.read = undefined; client.send("hello"); client.flush().then((is) => { window.read = is; }); 0`);
      await page.until("the answer", `window.read !== undefined`);
      assert.equal(await page.evaluate(`window.read`), true);
    });
    await test("a page that is put away and comes back from the cache has its session, and what came meanwhile", async () => {
      await page.evaluate(`log.length = 0; window.is = "the same page"; 0`);
      const before = await page.evaluate(`${opens}.length`);
      const { currentIndex, entries } = await page.call("Page.getNavigationHistory");
      await page.call("Page.navigate", { url: `${await page.evaluate("location.origin")}/elsewhere` });
      await page.until("the other page", `location.pathname === "/elsewhere" && document.title === "client"`);
      await push("ada", "meanwhile");
      await page.call("Page.navigateToHistoryEntry", { entryId: entries[currentIndex].id });
      await page.until("the page", `window.is === "the same page"`);
      await page.until("the session", `${opens}.length > ${before} && log.length > 0`);
      assert.deepEqual(await page.evaluate(`[log, ${opens}.at(-1).resumed, changes.some(({ state }) => state === "suspended")]`), [["meanwhile"], true, true]);
    });
    await test("close() ends the session", async () => {
      await page.evaluate(`client.close(); 0`);
      const count = async () => (await (await fetch(`${backend}/v1/sessions?user=ada`)).json()).count;
      while ((await count()) !== 0);
      assert.equal(await page.evaluate(`client.state`), "closed");
    });
    const other = await world.openPage(browser);
    await test("where no WebSocket gets through it is an event stream of another origin, with the token in a field", async () => {
      relay.blocks = (head) => head.startsWith("GET /ws");
      await start(other, url, mint("bob"));
      await other.until("the session", `client.state === "open"`);
      assert.equal(await other.evaluate(`client.transport`), "sse");
      await push("bob", "a\r\nb");
      await other.evaluate(`window.read = undefined; client.send(new Uint8Array([1])); client.flush().then((is) => { window.read = is; }); 0`);
      await other.until("both ways", `log.length === 1 && window.read`);
      assert.deepEqual(await other.evaluate(`log`), ["a\r\nb"]);
    });
    await test("and when the network has changed, a WebSocket again, with the same session", async () => {
      relay.blocks = () => false;
      await other.evaluate(`window.dispatchEvent(new Event("online")); 0`);
      await other.until("the WebSocket", `client.transport === "ws"`);
      assert.deepEqual(await other.evaluate(`[changes.at(-1).resumed, new Set(${opens}.map(({ session }) => session)).size]`), [true, 1]);
    });
    await test("a refused token is told by the event stream, and closes at the second time", async () => {
      const third = await world.openPage(browser);
      await start(third, url, "not.a.token");
      await third.until("the end", `client.state === "closed"`);
      assert.equal(await third.evaluate(`changes.at(-1).status`), 401);
    });
  } finally {
    for (const pid of heirs.slice(-1)) process.kill(pid);
    relay.stop();
  }
});
