// What a page of another origin, and the backend port's own page, can do to a default `gannet serve` in headless Chromium.
//
//   node tests/browser/pages.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: what has to happen is waited for, and five minutes end it all.
import assert from "node:assert/strict";
import { test } from "./tests.mjs";
import { inBrowsers } from "./world.mjs";

/** Sends a request from the page and waits for its end, whatever that is. */
const send = (page, url, options) => page.evaluate(`window.sent = false;
  fetch(${JSON.stringify(url)}, ${JSON.stringify(options)}).finally(() => { window.sent = true; }).catch(() => {}); 0`)
  .then(() => page.until(`the end of ${url}`, `window.sent`));

/** Opens a link from the page; whether it opened. */
async function link(page, backend) {
  const url = JSON.stringify(`${backend.replace("http", "ws")}/v1/link`);
  await page.evaluate(`window.opened = undefined; window.socket = new WebSocket(${url}, "gannet.link.json");
    socket.onopen = () => { opened = true; }; socket.onclose = () => { opened ??= false; }; 0`);
  await page.until("the answer to the upgrade", `window.opened !== undefined`);
  return page.evaluate(`window.opened`);
}

await inBrowsers("elsewhere", async (world) => {
  const { clients, backend } = await world.serve();
  const stats = async () => (await fetch(`${backend}/v1/stats`)).json();
  const browser = await world.browse();
  const foreign = await world.openPage(browser);
  await foreign.until("the page", `document.title === "elsewhere"`);
  await foreign.evaluate(`window.log = []; window.player = new WebSocket(${JSON.stringify(`${clients}/ws?user=ada`)});
    player.onmessage = ({ data }) => log.push(data); 0`);
  await foreign.until("the welcome", `log.length === 1`);
  await test("a page of another origin pushes nothing, runs no batch, lists nobody and opens no link", async () => {
    const text = { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" } };
    const kick = '{"op":"kick","user":"ada"}';
    await send(foreign, `${backend}/v1/push?user=ada`, { ...text, body: "hi" });
    await send(foreign, `${backend}/v1/batch`, { ...text, body: kick });
    await send(foreign, `${backend}/v1/sessions`, { mode: "no-cors" });
    assert.equal(await link(foreign, backend), false);
    const { backend_refused: refused, pushes, sessions, links } = await stats();
    assert.deepEqual([refused.page, pushes, sessions, links], [4, 0, 1, 0]);
    assert.equal(await foreign.evaluate(`log.length`), 1);
  });
  await test("the backend port's own page pushes, lists and opens a link", async () => {
    const own = await browser.openPage(`${backend}/`, 400, 300);
    await own.until("the page", `document.readyState === "complete" && document.title.endsWith("gannet")`);
    await send(own, "/v1/push?user=ada", { method: "POST", body: "hi" });
    await foreign.until("the push", `log[1] === "hi"`);
    await own.evaluate(`fetch("/v1/sessions").then((reply) => reply.json()).then(({ count }) => { window.count = count; }); 0`);
    await own.until("the listing", `window.count === 1`);
    assert.equal(await link(own, backend), true);
    assert.equal((await stats()).backend_refused.page, 4);
  });
});
