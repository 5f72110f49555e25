// EventSource and long polling from pages in headless Chromium, through an nginx with nothing configured but where to pass
// requests on, while the server is upgraded and connections are cut.
//
//   node tests/browser/streams.mjs PROGRAM
//
// PROGRAM is the built `gannet`; nginx has to be installed (nginx-light). Nothing is timed: what has to happen is waited for,
// and a minute ends it all.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "./tests.mjs";
import { inBrowsers } from "./world.mjs";

const MESSAGES = 120;

/** An nginx before `upstream`; `stop()` ends it. */
const startNginx = async (directory, upstream) => {
  // The port is free until nginx takes it, as far as nobody else asks for just that one.
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
  const prefix = join(directory, "nginx");
  mkdirSync(join(prefix, "temp"), { recursive: true });
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path temp/${what};`);
  writeFileSync(join(prefix, "nginx.conf"), `daemon off; worker_processes 1; pid nginx.pid; error_log error.log; events {}
    http { access_log off; ${temp.join(" ")}
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://${upstream}; } } }`);
  const child = spawn("nginx", ["-p", prefix, "-c", "nginx.conf", "-e", "error.log"], { stdio: "ignore" });
  // Whatever fails, it does not stay.
  process.on("exit", () => child.kill());
  for (;;) {
    assert.equal(child.exitCode, null, "nginx has ended");
    const socket = connect(port, "127.0.0.1");
    const is = await new Promise((resolve) => socket.on("connect", () => resolve(true)).on("error", () => resolve(false)));
    socket.destroy();
    if (is) break;
  }
  const stop = async () => {
    const ended = once(child, "exit");
    child.kill();
    await ended;
  };
  return { address: `127.0.0.1:${port}`, stop };
};

/** A proxy before `upstream` whose connections can be cut. */
const startCutter = async (upstream) => {
  const [host, port] = upstream.split(":");
  const open = new Set();
  const server = createServer((client) => {
    const there = connect(Number(port), host);
    for (const [one, other] of [[client, there], [there, client]]) {
      open.add(one);
      one.on("error", () => other.destroy()).on("close", () => (open.delete(one), other.destroy()));
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${server.address().port}`,
    cut: () => [...open].forEach((socket) => socket.destroy()),
    stop: () => (server.close(), [...open].forEach((socket) => socket.destroy())),
  };
};

await inBrowsers("streams", async (world) => {
  const config = join(world.directory, "gannet.toml");
  writeFileSync(config, `deflate.enabled = true\n[apps.default]\norigins = ["*"]\n[apps.default.resume]\nlinger_ms = "10m"\n`);
  const { clients, backend } = await world.serve(["--config", config]);
  const cutter = await startCutter(new URL(clients).host);
  const nginx = await startNginx(world.directory, cutter.address);
  const page = await world.openPage(await world.browse());
  await page.until("the page", `document.title === "streams"`);
  const push = async (user, body) => {
    const headers = typeof body === "string" ? {} : { "Content-Type": "application/octet-stream" };
    const reply = await fetch(`${backend}/v1/push?user=${user}`, { method: "POST", headers, body });
    assert.equal((await reply.json()).queued, 1);
  };
  /** Numbers to `user`, with cuts and an upgrade in between. */
  const pushAll = async (user) => {
    for (let number = 0; number < MESSAGES; number += 1) {
      await push(user, `${number}`);
      if (number % 20 === 10) cutter.cut();
      if (number === MESSAGES / 2) {
        const upgraded = await fetch(`${backend}/v1/admin/upgrade`, { method: "POST" });
        const report = await upgraded.json();
        assert.equal(upgraded.status, 200, JSON.stringify(report));
        heirs.push(report.pid);
      }
    }
  };
  // Those that took over are no children of this process.
  const heirs = [];
  const all = JSON.stringify([...Array(MESSAGES).keys()].map(String));
  try {
    await test("an EventSource gets every number once, through cuts and an upgrade", async () => {
      await page.evaluate(`window.log = []; window.welcomes = [];
        window.source = new EventSource("http://${nginx.address}/sse?user=ada");
        source.onmessage = ({ data }) => log.push(data);
        source.addEventListener("welcome", ({ data }) => welcomes.push(JSON.parse(data)));
        source.addEventListener("close", ({ data }) => { window.end = JSON.parse(data); source.close(); }); 0`);
      await page.until("the welcome", `welcomes.length === 1`);
      await pushAll("ada");
      await page.until("all of them", `log.length >= ${MESSAGES}`);
      assert.equal(await page.evaluate(`JSON.stringify(log)`), all);
      assert.ok(await page.evaluate(`welcomes.length > 1 && welcomes.slice(1).every((welcome) => welcome.resumed)`));
    });
    await test("its kinds of events are told apart, and its end has a code", async () => {
      await page.evaluate(`window.kinds = [];
        for (const kind of ["json", "binary"]) source.addEventListener(kind, ({ data }) => kinds.push([kind, data])); 0`);
      await push("ada", "a\rb");
      await push("ada", new Uint8Array([0, 255]));
      await push("ada", "two\nlines");
      await page.until("them", `log.length === ${MESSAGES + 1} && kinds.length === 2`);
      assert.deepEqual(await page.evaluate(`[log.at(-1), kinds]`), ["two\nlines", [["json", `"a\\rb"`], ["binary", "AP8="]]]);
      await fetch(`${backend}/v1/users/ada?code=4001&reason=cheating`, { method: "DELETE" });
      await page.until("the end", `window.end`);
      assert.deepEqual(await page.evaluate(`window.end`), { code: 4001, reason: "cheating" });
    });
    await test("long polling gets every number once, through cuts and an upgrade", async () => {
      await page.evaluate(`window.log = []; window.polls = (async () => {
        let query = "";
        while (log.length < ${MESSAGES}) {
          try {
            const answer = await (await fetch("http://${nginx.address}/poll?user=bob" + query)).json();
            log.push(...answer.messages.map(({ text }) => text));
            query = "&resume=" + answer.resume + "&received=" + answer.received;
            window.ticket = answer.resume;
          } catch { /* cut: the same again */ }
        }
      })(); 0`);
      await page.until("the session", `window.ticket`);
      await pushAll("bob");
      await page.until("all of them", `log.length >= ${MESSAGES}`);
      assert.equal(await page.evaluate(`JSON.stringify(log)`), all);
    });
    await test("a page sends and leaves", async () => {
      const status = async (path, options) => {
        await page.evaluate(`window.status_ = 0; fetch("http://${nginx.address}${path}?resume=" + ticket, ${JSON.stringify(options)})
          .then(({ status }) => { window.status_ = status; }); 0`);
        await page.until("the answer", `window.status_`);
        return page.evaluate(`window.status_`);
      };
      const headers = { "Content-Type": "application/json" };
      assert.equal(await status("/send", { method: "POST", headers, body: "{}" }), 204);
      assert.equal(await status("/session", { method: "DELETE" }), 204);
      assert.equal(await status("/session", { method: "DELETE" }), 404);
    });
  } finally {
    for (const pid of heirs.slice(-1)) process.kill(pid);
    await nginx.stop();
    cutter.stop();
  }
});
