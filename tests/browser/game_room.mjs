// Plays examples/game_room in browser tabs, and fails unless each sees the others' moves.
//
//   node tests/browser/game_room.mjs PROGRAM [PICTURE]
//
// PROGRAM is the built example; into the file PICTURE goes a PNG of two tabs, side by side, while both players move.
// Nothing is timed: what has to happen is waited for, and five minutes end it all.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { startChromium } from "./chromium.mjs";
import { passed, test } from "./tests.mjs";

const [program, picture] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/browser/game_room.mjs PROGRAM [PICTURE]");
  process.exit(2);
}
const ends = setTimeout(() => fail(new Error("it took more than five minutes")), 300_000);

/** Starts the game; `addresses` are those of the page, of the clients and of the backend. */
async function startGame(...addresses) {
  const child = spawn(program, addresses, { stdio: ["ignore", "pipe", "inherit"] });
  child.on("error", fail);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: line } = await lines.next();
  const page = line?.match(/http:\/\/[^/]+/)?.[0];
  assert(page, `the game says where its page is: ${line}`);
  return { page, child };
}

async function stopGame({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill();
  await ended;
}

/** A player as another player's page has it, by name. */
const seen = (name) => `[...game.players.values()].find((player) => player.name === ${JSON.stringify(name)})`;
const positionOf = async (page, name) => {
  const { x, y } = await page.evaluate(`(({ x, y }) => ({ x, y }))(${seen(name)})`);
  return { x, y };
};

let game, browser;
async function stopAll() {
  clearTimeout(ends);
  await browser?.close();
  if (game) await stopGame(game);
}

async function fail(error) {
  console.error(error);
  await stopAll();
  process.exit(1);
}

async function play() {
  game = await startGame("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0");
  browser = await startChromium();
  const open = (room, name) =>
    browser.openPage(`${game.page}/?` + new URLSearchParams({ room, name }), 900, 580);
  const ada = await open("red", "ada");
  const bob = await open("red", "bob");
  const eve = await open("blue", "eve <b>&\"x\"");

  await test("both tabs connect and see each other", async () => {
    for (const page of [ada, bob]) {
      await page.until("connected", `game.status === "open" && game.players.has(game.me)`);
      await page.until("two players", `game.players.size === 2 && ${seen("ada")} && ${seen("bob")}`);
      assert.equal(await page.evaluate(`document.querySelectorAll("#players li").length`), 2);
    }
    assert.notEqual(await ada.evaluate("game.me"), await bob.evaluate("game.me"));
  });

  await test("another room is another room, and a name is only text", async () => {
    await eve.until("connected", `game.status === "open" && game.players.size === 1`);
    assert.equal(await eve.evaluate(`document.querySelector("#players li").innerText`), "eve <b>&\"x\"\nyou");
    assert.equal(await eve.evaluate(`document.querySelectorAll("#players b").length`), 0);
  });

  await test("each sees the other's moves by keys", async () => {
    for (const [mover, other, name, key, axis, sign] of [
      [ada, bob, "ada", "ArrowLeft", "x", -1],
      [bob, ada, "bob", "KeyD", "x", 1],
      [ada, bob, "ada", "ArrowDown", "y", 1],
      [bob, ada, "bob", "KeyW", "y", -1],
    ]) {
      const before = await positionOf(other, name);
      await mover.press(key);
      await other.until(`${name} moves`, `(${seen(name)}.${axis} - ${before[axis]}) * ${sign} > 60`);
      await mover.release(key);
    }
  });

  await test("a player stops when its keys are up, at the same place for everybody", async () => {
    // For five states, since two looks may be at the same one.
    const stands = `(() => { const { x, y } = ${seen("bob")}, at = x + "," + y;
      if (window.stood?.at !== at) window.stood = { at, since: game.tick };
      return game.tick >= window.stood.since + 5; })()`;
    await ada.until("bob stands", stands);
    const tick = await ada.evaluate("game.tick");
    await bob.until("the same tick", `game.tick >= ${tick}`);
    assert.deepEqual(await positionOf(ada, "bob"), await positionOf(bob, "bob"));
  });

  await test("a click is a place to go to", async () => {
    await ada.click(450, 320);
    await bob.until("ada arrives", `Math.abs(${seen("ada")}.x - 800) < 40 && Math.abs(${seen("ada")}.y - 460) < 60`);
  });

  await test("states keep coming, and pings come back", async () => {
    const tick = await ada.evaluate("game.tick");
    await ada.until("20 ticks", `game.tick >= ${tick + 20}`);
    await ada.until("a ping", "game.ping !== null");
  });

  if (picture) await takePicture(ada, bob);

  await test("a tab that comes back after the server was gone is in the room again", async () => {
    const clients = await ada.evaluate("CLIENTS");
    const page = game.page.replace("http://", "");
    await stopGame(game);
    await ada.until("the loss is shown", `game.status.startsWith("closed (1006)")`);
    game = await startGame(page, clients, "127.0.0.1:0");
    for (const tab of [ada, bob]) {
      await tab.until("connected again", `game.status === "open" && game.players.size === 2 && game.reconnects > 0`);
    }
  });

  await test("who leaves is gone", async () => {
    await bob.evaluate("location.href = 'about:blank'");
    await ada.until("bob is gone", `game.players.size === 1 && !${seen("bob")}`);
  });
}

/** Both tabs while both players are on the move. */
async function takePicture(ada, bob) {
  await ada.press("ArrowUp");
  await ada.press("ArrowLeft");
  await bob.press("ArrowDown");
  await bob.press("ArrowLeft");
  await ada.until("ada is on her way", `${seen("ada")}.y < 330`);
  const tabs = await Promise.all([ada.screenshot(), bob.screenshot()]);
  for (const [page, keys] of [[ada, ["ArrowUp", "ArrowLeft"]], [bob, ["ArrowDown", "ArrowLeft"]]]) {
    for (const key of keys) await page.release(key);
  }
  const images = tabs.map((tab) => `<img src="data:image/png;base64,${tab.toString("base64")}">`).join("");
  const style = "body{margin:0;display:flex;gap:20px;padding:20px;background:#d5dde6}img{border-radius:10px}";
  const both = await browser.openPage("about:blank", 1860, 620);
  await both.evaluate(`document.head.innerHTML = "<style>${style}</style>"; document.body.innerHTML = ${JSON.stringify(images)}`);
  await both.until("both are drawn", `[...document.images].length === 2 && [...document.images].every((image) => image.complete)`);
  await writeFile(picture, await both.screenshot());
}

try {
  await play();
} catch (error) {
  await fail(error);
}
await stopAll();
console.log(`${passed()} passed, 0 failed`);
