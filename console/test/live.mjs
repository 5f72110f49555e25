// The page as the server serves it, in headless Chromium: a real process, real sessions, real clicks.
//
//   node console/test/live.mjs PROGRAM
//
// PROGRAM is the built `gannet`. Nothing is timed: figures are printed, and what has to happen is waited for.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "../../tests/browser/tests.mjs";
import { inBrowsers } from "../../tests/browser/world.mjs";
import { freePort } from "../../tests/ports.mjs";
import { everyScreen, gateIs, screensAre } from "./axe.mjs";
import { hidden } from "./hidden.mjs";
import { click, enter, enterGame, go, KEYS, openConsole, press, Server, shows, text, write } from "./world.mjs";

const MARKUP = `<img src=x onerror="window.pwned=1">`;
const CROWD = 5_000;
/** How many changes of the document a tick makes at most, whatever is on the server. */
const MOST_CHANGES = 120;

const rows = (page) => page.evaluate(`document.querySelectorAll("main tbody tr").length`);
const focused = (page) => page.evaluate(`document.activeElement.id || document.activeElement.tagName`);
/** Nothing was asked of another place than this server, nothing was refused by the policy, nothing was thrown. */
async function isClean(page, server) {
  const hosts = new Set(page.requests.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).host));
  assert.deepEqual([...hosts].filter((host) => host !== server.backend && host !== server.clients), []);
  assert.deepEqual([await page.evaluate(`violations`), page.troubles], [[], []]);
}

async function gate(page, server) {
  await test("before the key nothing of the server is shown, and a wrong one is one sentence at the field, which keeps the focus", async () => {
    await page.until("the field", `document.activeElement.id === "key"`);
    assert.doesNotMatch(await text(page, "body"), /reactor|session|0\.2\.0/i);
    await enter(page, "not-a-key-of-this-server");
    await shows(page, ".wrong", "The server does not take this key");
    assert.equal(await focused(page), "key");
    assert.equal(await page.evaluate(`document.querySelector("nav, table")`), null);
  });
  await test("with a key that it takes the overview is there, and says how the server is", async () => {
    await enter(page, KEYS.ops);
    await shows(page, ".figures", "Sessions");
    await shows(page, "h1", "All is well.");
    await shows(page, ".whose", "may read, push, administer");
    assert.equal(await text(page, ".how .word"), "Live");
    assert.doesNotMatch(await page.evaluate(`location.href + JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie`), new RegExp(KEYS.ops));
  });
}

async function hostile(page, server) {
  await test("a name with markup in it is text on every screen", async () => {
    const player = await enterGame(server, [["user", MARKUP], ["group", MARKUP], ["tag", MARKUP]]);
    await go(page, `#/group/default/${encodeURIComponent(MARKUP)}`, MARKUP);
    await shows(page, "main td", MARKUP);
    await go(page, `#/user/default/${encodeURIComponent(MARKUP)}`, MARKUP);
    await shows(page, "main td", MARKUP);
    for (const [hash, heading] of [["#/groups?app=default", "Groups"], ["#/users?app=default", "Users"], ["#/sessions", "Sessions"]]) {
      await go(page, hash, heading);
      await shows(page, "main td", MARKUP);
    }
    await go(page, `#/session/default/${player.session}`, MARKUP);
    await shows(page, ".chip", MARKUP);
    await press(page, "/");
    await page.call("Input.insertText", { text: MARKUP });
    await page.until("the hits", `document.querySelectorAll("[role=option]").length === 3`);
    assert.match(await text(page, "[role=option]"), /<img src=x/);
    await press(page, "Escape");
    assert.deepEqual(await page.evaluate(`[window.pwned, document.images.length]`), [undefined, 0].map((value) => value ?? null));
    player.end();
  });
}

async function keys(page, server) {
  const player = await enterGame(server, [["user", "ada"], ["group", "red"]]);
  const bob = await enterGame(server, [["user", "bob"]], { app: "chess" });
  await test("the keyboard alone: screens, rows, Enter, search, theme, help", async () => {
    await go(page, "#/", "All is well.");
    await press(page, "g");
    await press(page, "s");
    await shows(page, "h1", "Sessions");
    await page.until("both", `document.querySelectorAll("main tbody tr").length === 2`);
    for (const key of ["j", "j", "k"]) await press(page, key);
    const first = await text(page, "main tbody tr a");
    assert.equal(await page.evaluate(`document.activeElement.textContent`), first);
    await press(page, "Enter");
    await shows(page, "h1", first);
    assert.equal(await focused(page), "H1");
    await press(page, "/");
    await page.call("Input.insertText", { text: player.session });
    await page.until("the session", `document.querySelector("[role=option]")`);
    await press(page, "Enter");
    await page.until("its screen", `location.hash === "#/session/default/${player.session}"`);
    const before = await page.evaluate(`getComputedStyle(document.body).backgroundColor`);
    await press(page, "t");
    assert.notEqual(await page.evaluate(`getComputedStyle(document.body).backgroundColor`), before);
    await press(page, "t");
    await press(page, "?");
    await shows(page, "dialog", "next row");
    await press(page, "Escape");
    await page.until("the end of the help", `document.querySelector("dialog") === null`);
  });
  await test("a user of another app is found, and named with the app", async () => {
    await press(page, "/");
    await page.call("Input.insertText", { text: "bob" });
    await page.until("the hit", `document.querySelector("[role=option]")?.textContent.includes("chess · 1 session")`);
    await press(page, "Enter");
    await page.until("the user", `location.hash === "#/user/chess/bob"`);
  });
  await test("a push to a session has a receipt; tag, leave and join are seen", async () => {
    await go(page, `#/session/default/${player.session}`, "ada");
    await click(page, "button", "Push");
    await shows(page, ".receipt", "Written to the socket");
    assert.match(await text(page, ".receipt ul"), /matched 1written 1/);
    await write(page, "Group or tag", "ios");
    await click(page, "button", "Tag");
    await shows(page, ".chip", "ios");
    await click(page, `[aria-label="Leave red"]`);
    await page.until("no group", `!document.querySelector(".facts").textContent.includes("red")`);
  });
  await test("the flight recorder shows what the player sends and gets, and stops", async () => {
    const recorder = `[...document.querySelectorAll("section")].find((one) => one.querySelector("h2")?.textContent === "Flight recorder")`;
    await shows(page, "main", "Flight recorder");
    await click(page, "button", "Record");
    await page.until("it records", `${recorder}.textContent.includes("on for the last 200")`);
    player.say("hello, server");
    await server.ask("POST", `/v1/push?session=${player.session}`, "hello, player");
    for (const [what, head] of [["← from player, text", "hello, server"], ["queued", "hello, player"], ["→ to player, text", "hello, player"]]) {
      await page.until(what, `[...${recorder}.querySelectorAll("tbody tr")].some(({ textContent }) => textContent.includes("${what}") && textContent.includes("${head}"))`);
    }
    assert.ok(await page.evaluate(`[...${recorder}.querySelectorAll("td")].every((cell) => getComputedStyle(cell).display === "table-cell")`));
    await click(page, "button", "Stop");
    await page.until("it has stopped", `${recorder}.textContent.includes("stopped")`);
    assert.equal(await page.evaluate(`${recorder}.querySelectorAll("tbody tr").length`), 3);
  });
  await test("a kick asks for a second click, and Enter is none; the page of the session stays and says that it has closed", async () => {
    await click(page, "button", "Kick this session…");
    await page.until("the question", `document.activeElement.textContent === "Kick 1 session"`);
    await press(page, "Enter");
    assert.equal((await server.ask("GET", "/v1/sessions?user=ada")).count, 1);
    await click(page, "button", "Kick 1 session");
    await shows(page, ".under", "closed");
    await shows(page, ".receipt", "With 4001");
    assert.equal((await server.ask("GET", "/v1/sessions?user=ada")).count, 0);
    assert.equal(await text(page, "h1"), "ada");
  });
  bob.end();
}

async function pushAndTest(page, server) {
  await test("Push & test: what is pushed arrives at its own client, and so does the same as a command", async () => {
    await go(page, "#/push", "Push & test");
    await page.until("the address", `[...document.querySelectorAll("input")].some(({ value }) => value === "ws://${server.clients}/ws?user=console")`);
    await click(page, "button", "Connect");
    await shows(page, ".talk", `"user":"console"`);
    await write(page, "Name", "console");
    await write(page, "Message", `it's "here"`);
    await click(page, "button", "Push");
    await shows(page, ".talk", `it's "here"`);
    const lines = await page.evaluate(`document.querySelectorAll(".talk li").length`);
    const command = await text(page, "pre");
    assert.doesNotMatch(command, new RegExp(KEYS.ops));
    const { stdout } = await promisify(execFile)("sh", ["-c", `${command} -s`], { env: { ...process.env, GANNET_KEY: KEYS.ops } });
    assert.equal(JSON.parse(stdout).written, 1);
    await page.until("the second", `document.querySelectorAll(".talk li").length === ${lines + 1}`);
    await click(page, "button", "Disconnect");
    await shows(page, ".talk", "closed with 1000");
  });
}

/** The program of the crowd, whose sessions are there when the page says so. */
async function withCrowd(world, page, server, body) {
  const crowd = spawn(world.program, ["bench", "idle", "-c", String(CROWD), "-d", "10m", `ws://${server.clients}/ws?user=u{session}&group=g{session}`], { stdio: "ignore" });
  try {
    await page.until("the crowd", `document.querySelector(".figures .value")?.textContent === "${CROWD.toLocaleString("en-US")}"`, 60_000);
    await body();
  } finally {
    const ended = once(crowd, "exit");
    crowd.kill();
    await ended;
  }
}

async function crowded(page, server) {
  await test(`${CROWD} sessions: a page of 100, the next, and no row more`, async () => {
    await go(page, "#/sessions", "Sessions");
    await shows(page, ".under", `${CROWD.toLocaleString("en-US")} sessions, as of`);
    assert.equal(await rows(page), 100);
    // The first cell is the user: what is beside it counts seconds.
    const first = await text(page, "main tbody td");
    await click(page, "button", "Next page");
    await page.until("the next page", `document.querySelector("main tbody td").textContent !== ${JSON.stringify(first)}`);
    assert.equal(await rows(page), 100);
    await click(page, "button", "Page before");
    await page.until("the first page", `document.querySelector("main tbody td").textContent === ${JSON.stringify(first)}`);
    await go(page, "#/groups?app=default", "Groups");
    await page.until("groups", `document.querySelectorAll("main tbody tr").length === 100`);
    await go(page, "#/users?app=default&prefix=u49", "Users");
    await page.until("users", `[...document.querySelectorAll("main tbody td:first-child")].length > 0 && [...document.querySelectorAll("main tbody td:first-child")].every(({ textContent }) => textContent.startsWith("u49"))`);
  });
  await test("a tick changes a bounded part of the document", async () => {
    await go(page, "#/", "");
    await page.evaluate(`window.ticks = []; window.changed = []; window.open_ = 0; new MutationObserver((list) => { window.open_ += list.length; }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true }); 0`);
    for (let seen = 0; seen < 12; seen += 1) {
      await page.until(`tick ${seen}`, `ticks.length > ${seen}`);
      await page.evaluate(`changed.push(open_); open_ = 0; 0`);
    }
    const [ticks, changed] = await page.evaluate(`[ticks, changed]`);
    ticks.sort((a, b) => a - b);
    console.log(`  a tick takes ${ticks[ticks.length >> 1].toFixed(2)} ms, at most ${ticks.at(-1).toFixed(2)} ms; it makes up to ${Math.max(...changed)} changes in the document`);
    assert.ok(Math.max(...changed) <= MOST_CHANGES, changed.join(" "));
  });
}

async function behind(page, server) {
  await test("a player whose socket takes nothing is behind: on the overview, in the list, on a page of its own", async () => {
    const slow = await enterGame(server, [["user", "tortoise"], ["group", "pond"]], { reads: false });
    for (let sent = 0; sent < 200; sent += 1) {
      const receipt = await server.ask("POST", "/v1/push?user=tortoise&ttl_ms=600000", "x".repeat(65_536));
      if ((await server.ask("GET", "/v1/sessions?behind=1")).count === 1) break;
      assert.equal(receipt.queued, 1);
    }
    await go(page, "#/", "");
    await shows(page, "main table", "tortoise");
    await go(page, "#/sessions?behind=1", "Sessions");
    await page.until("it alone", `document.querySelectorAll("main tbody tr").length === 1`);
    await click(page, "main tbody .mono a");
    await shows(page, ".under", "behind since");
    await shows(page, ".facts", "message");
    slow.end();
  });
}

async function operations(page, server) {
  await test("reload: what has changed, in the box and in the trail", async () => {
    server.configure("[limits]\nmax_page = 500");
    await go(page, "#/operations", "Operations");
    await click(page, "button", "Reload");
    await shows(page, ".receipt", "limits.max_page");
    await click(page, "button", "Read again");
    await shows(page, "main td", "reload: limits.max_page 1000 → 500");
    assert.equal(await text(page, "main tbody td:nth-child(2)"), "ops");
  });
  await test("a drain is asked for with the server's name: Enter and another name confirm nothing", async () => {
    const name = await page.evaluate(`document.querySelector(".under").firstChild.textContent`);
    await click(page, "button", "Drain…");
    await write(page, `Type ${name}`, name.slice(0, -1));
    await shows(page, ".box.armed", "The name does not match yet.");
    assert.equal(await page.evaluate(`document.querySelector("button.sure").disabled`), true);
    await press(page, "Enter");
    await write(page, `Type ${name}`, name);
    await press(page, "Enter");
    assert.equal((await server.ask("GET", "/v1/admin/drain")).draining, false);
    await press(page, "Escape");
    await page.until("the question to be gone", `document.querySelector(".armed") === null`);
    await click(page, "button", "Drain…");
    await write(page, `Type ${name}`, name);
    await click(page, "button.sure");
    await shows(page, ".receipt", "The drain has begun");
    await go(page, "#/", "Players do not get in.");
    await shows(page, ".findings", "New players are refused: it is being drained");
    await go(page, "#/operations", "Operations");
    await click(page, "button", "Call the drain off");
    await shows(page, ".receipt", "The drain is off");
    await go(page, "#/", "");
    await page.until("that players get in", `/^(Players get in|All is well)/.test(document.querySelector("h1").textContent)`);
  });
  await test("the configuration has every key, and the secrets are not in it", async () => {
    await go(page, "#/configuration", "Configuration");
    await write(page, "Search", "max_page");
    await page.until("the key", `document.querySelectorAll("main tbody tr").length === 1`);
    assert.match(await text(page, "main tbody tr"), /limits\.max_page.*500.*default 1000/s);
    await write(page, "Search", "");
    await click(page, "button", "What differs");
    await page.until("what differs alone", `[...document.querySelectorAll("main tbody tr")].every((row) => row.textContent.includes("default "))`);
    assert.match(await text(page, "main"), /backend\.keys.*limits\.max_page/s);
    assert.doesNotMatch(await text(page, "body"), new RegExp(KEYS.chess));
  });
}

async function rights(browser, server) {
  const open = async (key, hash = "") => {
    const page = await openConsole(browser, server, { hash });
    await enter(page, key);
    await page.until("the page", `document.querySelector(".shell h1")`);
    return page;
  };
  const places = (page) => page.evaluate(`[...document.querySelectorAll(".nav a")].map((link) => link.firstElementChild.nextSibling.textContent)`);
  await test("what a key may not do is absent, and a page that was linked to says which right is missing", async () => {
    const reader = await open(KEYS.reader, "#/configuration");
    await shows(reader, "main", "It needs the right all, in every app");
    assert.deepEqual(await places(reader), ["Overview", "Apps", "Groups", "Users", "Sessions", "Operations"]);
    await go(reader, "#/operations", "Operations");
    assert.equal(await reader.evaluate(`document.querySelectorAll(".box").length`), 0);
    await isClean(reader, server);
    const chess = await open(KEYS.chess);
    assert.deepEqual(await places(chess), ["Overview", "Apps", "Groups", "Users", "Sessions", "Push & test"]);
    await shows(chess, "h1", "All is well.");
    await isClean(chess, server);
    const pusher = await open(KEYS.pusher);
    assert.deepEqual(await places(pusher), ["Push & test"]);
    await isClean(pusher, server);
  });
}

async function restarts(page, server) {
  await test("a server that is gone: the last figures with their time, no action; and when it is back, that it was restarted", async () => {
    await go(page, "#/operations", "Operations");
    await server.kill();
    await shows(page, ".banner", "actions are off until it answers");
    assert.deepEqual(await page.evaluate(`[...document.querySelectorAll("main fieldset.actions")].map(({ disabled }) => disabled)`).then((all) => [...new Set(all)]), [true]);
    await shows(page, ".under", "session");
    await server.again();
    await shows(page, ".banner", "The server was restarted at");
    await page.until("it to be live", `document.querySelector(".how .word").textContent === "Live"`);
    assert.deepEqual(await page.evaluate(`[...document.querySelectorAll("main fieldset.actions")].some(({ disabled }) => disabled)`), false);
  });
}

async function upgrades(page, server) {
  await test("an upgrade, rehearsed and done: the stream goes on in the new process, and nothing was gone", async () => {
    await go(page, "#/operations", "Operations");
    await click(page, "button", "Rehearse");
    await shows(page, ".steps", "answered in");
    const name = await page.evaluate(`document.querySelector(".under").firstChild.textContent`);
    await page.evaluate(`window.gone = 0; new MutationObserver(() => { gone += document.querySelector('.shell[data-state="gone"]') ? 1 : 0; }).observe(document.querySelector(".shell"), { attributes: true }); 0`);
    await click(page, "button", "Upgrade…");
    await write(page, `Type ${name}`, name);
    await click(page, "button.sure");
    await shows(page, ".steps", "has answered");
    server.heir = Number(/Process (\d+)/.exec(await text(page, ".steps"))[1]);
    await shows(page, ".under", `process ${server.heir}`);
    const seen = await page.evaluate(`ticks.length`);
    await page.until("figures of the new process", `ticks.length > ${seen + 1}`);
    assert.equal(await page.evaluate(`gone`), 0);
  });
}

/** Two nodes on a Redis, as the first shows them. */
async function cluster(world, browser, axe) {
  const port = await freePort();
  const redis = spawn("redis-server", ["--port", String(port), "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  const nodes = ["a", "b"].map((name) => [name, new Server(world.program, mkdtempSync(join(world.directory, `${name}-`)))]);
  try {
    await test("axe finds nothing on the screen of a cluster, which has both nodes", async () => {
      for (const [name, node] of nodes) await node.start(`[cluster]\nredis = ["redis://127.0.0.1:${port}"]\nname = "${name}"`);
      const [, first] = nodes[0];
      const page = await openConsole(browser, first, { hash: "#/cluster" });
      await enter(page, KEYS.ops);
      await shows(page, "main h1", "Cluster, as");
      while ((await first.ask("GET", "/v1/cluster")).nodes.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      await go(page, "#/", "");
      await go(page, "#/cluster", "Cluster, as");
      await page.until("both nodes", `["a", "b"].every((name) => [...document.querySelectorAll("main td")].some(({ textContent }) => textContent.startsWith(name)))`);
      await screensAre(page, axe, [["#/cluster", "Cluster, as"]]);
      await isClean(page, first);
    });
  } finally {
    for (const [, node] of nodes) await node.kill();
    redis.kill();
  }
}

await inBrowsers("console", async (world) => {
  const server = new Server(world.program, world.directory);
  const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
  try {
    await server.start();
    const browser = await world.browse();
    const page = await openConsole(browser, server);
    await test("axe finds nothing at the gate", () => gateIs(page, axe));
    await gate(page, server);
    await hostile(page, server);
    await keys(page, server);
    await pushAndTest(page, server);
    await hidden(page, server);
    await go(page, "#/", "");
    await withCrowd(world, page, server, () => crowded(page, server));
    await behind(page, server);
    await operations(page, server);
    await rights(browser, server);
    await test("axe finds nothing on any screen, light and dark, wide and as on a phone", () => everyScreen(page, server, axe));
    await cluster(world, browser, axe);
    await restarts(page, server);
    await upgrades(page, server);
    await test("no request but to the server, nothing that its policy refused, nothing thrown", () => isClean(page, server));
  } finally {
    if (server.heir) process.kill(server.heir);
    await server.kill();
  }
});
