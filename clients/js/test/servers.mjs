// Real servers for the tests, and a relay before one that cuts connections.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Whatever fails, no server stays. */
const kills = new Set();
process.on("exit", () => kills.forEach((kill) => kill()));

/** A gannet of its own, with this configuration; `stop()` ends it, whichever process serves by then. */
export async function startServer(program, toml, files = {}) {
  const directory = mkdtempSync(join(tmpdir(), "gannet-client-"));
  for (const [name, text] of Object.entries({ ...files, "gannet.toml": toml })) writeFileSync(join(directory, name), text);
  const child = spawn(program, ["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--log", "error", "--config", join(directory, "gannet.toml")], { stdio: ["ignore", "pipe", "inherit"] });
  let { pid } = child;
  const kill = () => { try { process.kill(pid); } catch { /* it has ended */ } };
  kills.add(kill);
  const addresses = {};
  for await (const line of createInterface({ input: child.stdout })) {
    addresses.clients ??= line.match(/wss?:\/\/([\d.]+:\d+)/)?.[1];
    addresses.backend ??= line.match(/https?:\/\/[\d.]+:\d+/)?.[0];
    if (addresses.clients && addresses.backend) break;
  }
  assert.ok(addresses.backend, "the server ended");
  child.stdout.resume();
  const ask = async (path, init = {}) => {
    const response = await fetch(addresses.backend + path, init);
    const text = await response.text();
    assert.ok(response.ok, `${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  return {
    ...addresses,
    directory,
    ask,
    push: (target, body) => ask(`/v1/push?${target}`, { method: "POST", body, headers: typeof body === "string" ? {} : { "Content-Type": "application/octet-stream" } }),
    async upgrade() {
      ({ pid } = await ask("/v1/admin/upgrade", { method: "POST" }));
      return pid;
    },
    async stop() {
      kills.delete(kill);
      kill();
      // Of a process that has taken over only the end of its port is seen.
      while (await fetch(`${addresses.backend}/healthz`).then(() => true, () => false)) await new Promise((f) => setTimeout(f, 20));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A relay before `upstream`. `cut()` cuts what is open, `blocks` is asked for the head of each request whether to cut it. */
export async function startRelay(upstream) {
  const open = new Set();
  const relay = { upstream, blocks: () => false, made: 0 };
  const server = createServer((client) => {
    relay.made += 1;
    open.add(client);
    client.on("error", () => {}).on("close", () => open.delete(client));
    client.once("data", (head) => {
      if (relay.blocks(head.toString("latin1"))) return client.destroy();
      const [host, port] = relay.upstream.split(":");
      const there = connect(Number(port), host);
      open.add(there);
      there.on("error", () => {}).on("close", () => (open.delete(there), client.destroy()));
      client.on("close", () => there.destroy());
      there.write(head);
      client.pipe(there).pipe(client);
      return undefined;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  relay.address = `127.0.0.1:${server.address().port}`;
  relay.cut = () => [...open].forEach((socket) => socket.destroy());
  /** Cuts each with this probability; how many. */
  relay.cutSome = (probability) => {
    const chosen = [...open].filter(() => Math.random() < probability);
    chosen.forEach((socket) => socket.destroy());
    return chosen.length;
  };
  relay.stop = () => (server.close(), relay.cut());
  return relay;
}

/** Waits until something holds, and says what was waited for if that takes too long. */
export async function until(what, holds, patienceMs = 60_000) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const is = await holds();
    if (is) return is;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
