// Shows a token among the subprotocols from a page in headless Chromium, and speaks gannet's own messages there.
//
//   node tests/browser/tokens.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, and five minutes end it all.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "./tests.mjs";
import { inBrowsers } from "./world.mjs";

/** Opens a WebSocket in the page as `socket`, which keeps what happens to it. */
const connect = async (page, url, subprotocols) => {
  await page.until("the page", `document.title === "tokens"`);
  await page.evaluate(`window.log = []; window.end = undefined;
    window.socket = new WebSocket(${JSON.stringify(url)}, ${JSON.stringify(subprotocols)});
    socket.onmessage = ({ data }) => log.push(data);
    socket.onclose = ({ code }) => { window.end = code; }; 0`);
};

await inBrowsers("tokens", async (world) => {
  const [secrets, config] = ["default.secrets", "gannet.toml"].map((name) => join(world.directory, name));
  writeFileSync(secrets, randomBytes(32).toString("hex"));
  writeFileSync(config, "[apps.default]\nsecrets_file = 'default.secrets'\n");
  const mint = (user) =>
    execFileSync(world.program, ["token", "mint", "--user", user, "--secret-file", secrets], { encoding: "utf8" }).trim();
  const { clients, backend } = await world.serve(["--config", config]);
  const page = await world.openPage(await world.browse());
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
});
