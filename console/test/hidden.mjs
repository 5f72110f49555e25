// A tab that nobody looks at: it asks for nothing, and has no hole in its plots when it is looked at again.
import assert from "node:assert/strict";
import { test } from "../../tests/browser/tests.mjs";
import { click, enterGame, go, KEYS } from "./world.mjs";

/** What limits.stats_streams is where nothing sets it. */
const STREAMS = 8;

/** The server's own hour: a stream of figures begins with it. */
async function hourOf(server) {
  const end = new AbortController();
  const { body } = await fetch(`http://${server.backend}/v1/stats/stream`, { signal: end.signal, headers: { Authorization: `Bearer ${KEYS.ops}` } });
  let said = "";
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    said += part;
    const hour = /^event: history\ndata: (.*)\n\n/m.exec(said);
    if (hour) return JSON.parse(hour[1]);
  }
  throw new Error(`a stream without an hour: ${said}`);
}

/** Waits until the hour has a row that began behind `unixMs`: when it ended. */
async function rowBehind(server, unixMs) {
  for (;;) {
    const { end_unix_ms, every_ms } = await hourOf(server);
    if (end_unix_ms - every_ms > unixMs) return end_unix_ms;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** How many streams of figures the server has room for beside those that are open. */
async function roomForStreams(server) {
  const ends = [];
  try {
    for (;;) {
      const end = new AbortController();
      const { status } = await fetch(`http://${server.backend}/v1/stats/stream`, { signal: end.signal, headers: { Authorization: `Bearer ${KEYS.ops}` } });
      if (status === 503) return ends.length;
      ends.push(end);
    }
  } finally {
    for (const end of ends) end.abort();
  }
}

/** Waits for it, for the server hears of the end of a stream a little later. */
async function hasRoomForStreams(server, room) {
  let is = -1;
  for (let tries = 0; tries < 200 && is !== room; tries += 1) is = await roomForStreams(server);
  assert.equal(is, room);
}

/** Notes what the page asks for within the very task in which it is seen again. */
const AT_ONCE = `(() => {
  window.atOnce = [];
  let isSeen = false;
  addEventListener("visibilitychange", () => { isSeen = !document.hidden; setTimeout(() => { isSeen = false; }); }, { capture: true });
  const ask = window.fetch;
  window.fetch = (url, ...more) => { if (isSeen) atOnce.push(new URL(url, location.href).pathname); return ask(url, ...more); };
})()`;

export async function hidden(page, server) {
  const player = await enterGame(server, [["user", "ada"]]);
  const pushes = setInterval(() => void server.ask("POST", "/v1/push?user=ada", "hi"), 100);
  try {
    await go(page, "#/", "");
    await page.evaluate(AT_ONCE);
    await rowBehind(server, Date.now());
    let ended;
    await test("a tab that nobody looks at has no stream and asks for nothing", async () => {
      await hasRoomForStreams(server, STREAMS - 1);
      await page.hide();
      await hasRoomForStreams(server, STREAMS);
      const before = [page.requests.length, await page.evaluate(`ticks.length`)];
      ended = await rowBehind(server, Date.now());
      assert.deepEqual([page.requests.length, await page.evaluate(`ticks.length`)], before);
    });
    await test("when it is looked at again it asks at once, and the plots have what was meanwhile, without a hole", async () => {
      await page.show();
      assert.deepEqual(await page.evaluate(`atOnce`), ["/v1/stats/stream"]);
      await click(page, "button", "Table of Push to write");
      // Where the hour has gone on meanwhile, its rows are counted back from a later end: some milliseconds off.
      const clocks = [-500, 0, 500].map((ms) => new Date(ended + ms).toISOString().slice(11, 19));
      const row = `[...document.querySelectorAll(".behind-plot tbody tr")].findIndex((row) => ${JSON.stringify(clocks)}.includes(row.cells[0].textContent))`;
      await page.until("the row of the meantime", `${row} >= 0`);
      const rows = await page.evaluate(`[...document.querySelectorAll(".behind-plot tbody tr")].slice(0, ${row} + 2).map((row) => [...row.cells].map(({ textContent }) => textContent))`);
      assert.ok(rows.length >= 2 && rows.flat().every((value) => value !== "—"), JSON.stringify(rows));
      await click(page, "button", "Table of Push to write");
    });
    await test("a session that is looked at again is asked for at once", async () => {
      await go(page, `#/session/default/${player.session}`, "ada");
      await page.hide();
      await page.evaluate(`atOnce = []; 0`);
      await page.show();
      assert.deepEqual((await page.evaluate(`atOnce`)).toSorted(), [`/v1/sessions/${player.session}`, "/v1/stats/stream"].toSorted());
    });
  } finally {
    clearInterval(pushes);
    player.end();
  }
}
