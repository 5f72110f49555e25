// Runs ../../vectors.json, whose form ../../README.md describes, against the client.
//
//   node test/vectors.mjs [FILE] [NAME…]
//
// FILE is a client to run instead of the sources, such as dist/gannet.js; NAMEs choose vectors.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { settled, World } from "./world.mjs";

const args = process.argv.slice(2);
const file = args[0]?.endsWith(".js") ? pathToFileURL(args.shift()) : new URL("../src/client.js", import.meta.url);
const { createClient } = await import(file);
const vectors = JSON.parse(readFileSync(new URL("../../vectors.json", import.meta.url)));
const URL_OF_ALL = "wss://game.example/ws";

/** The client of a vector, and what the script does with it. */
class Run {
  asked = [];
  waiting = [];
  whenOpen = undefined;
  throws = false;

  constructor(world, { url = URL_OF_ALL, token, retry, ...options }) {
    this.world = world;
    if (token === "ask") options.token = (why, signal) => this.ask(why, signal);
    else if (token) options.token = token;
    if (retry) {
      options.retry = ({ code, status }) => {
        const wish = retry[code ?? status];
        return wish === "close" ? void this.client.close() : wish;
      };
    }
    this.client = createClient(url, options);
    this.client.on("message", (data) => {
      const is = typeof data === "string" ? { text: data } : { base64: Buffer.from(data).toString("base64") };
      world.record({ message: is, received: this.client.received });
      if (this.throws) throw new Error("of the app");
    });
    this.client.on("state", (change) => {
      world.record(withoutUndefined(change));
      if (change.state === "open" && this.whenOpen) this.app(this.whenOpen);
    });
    this.client.on("drop", ({ data, key, why }) => world.record(withoutUndefined({ drop: data, key, why })));
  }

  ask(why, signal) {
    this.world.record({ token: why });
    return new Promise((resolve, reject) => {
      const call = { resolve, reject };
      this.waiting.push(call);
      signal.addEventListener("abort", () => this.waiting.includes(call) && this.world.record({ token: "aborted" }));
    });
  }

  app(action) {
    const { client, world } = this;
    const [what, argument] = typeof action === "string" ? [action] : Object.entries(action)[0];
    const result = (value) => world.record({ result: value });
    switch (what) {
      case "send": {
        const [data, options] = [argument].flat();
        this.sent = data?.base64 === undefined ? data : new Uint8Array(Buffer.from(data.base64, "base64"));
        return result(client.send(this.sent, options));
      }
      case "scribble":
        return void this.sent.fill(0);
      case "flush":
        return void client.flush().then((read) => result(`flushed: ${read}`));
      case "read":
        return result(Object.fromEntries([argument].flat().map((name) => [name, client[name] ?? null])));
      case "serverTime":
        return this.serverTime();
      case "whenOpen":
        this.whenOpen = argument;
        return undefined;
      case "throw":
        this.throws = argument;
        return undefined;
      default:
        return client[what](argument);
    }
  }

  /** Recorded is how far off it is, and whether that is within the bound that it states. */
  serverTime() {
    const time = this.client.serverTime();
    if (!time) return this.world.record({ result: null });
    const exact = this.world.serverMs + (this.world.ms % 1);
    const error = time.unixMs - exact;
    this.world.record({ result: { errorMs: round(time.errorMs), holds: Math.abs(error) <= time.errorMs + 1e-3 } });
  }

  token(answer) {
    const { resolve, reject } = this.waiting.shift();
    if (answer?.throw) reject(new Error(answer.throw));
    else resolve(answer);
  }
}

const round = (value) => Math.round(value * 1e3) / 1e3;
const withoutUndefined = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** Whether what was recorded is what was expected: of objects, what is named has to be the same. */
const isAsExpected = (is, expected) => {
  if (typeof expected === "number" && typeof is === "number") return Math.abs(is - expected) < 1e-3;
  if (expected === null || typeof expected !== "object") return is === expected;
  if (Array.isArray(expected)) {
    return Array.isArray(is) && is.length === expected.length && expected.every((one, at) => isAsExpected(is[at], one));
  }
  if (is === null || typeof is !== "object") return false;
  return Object.entries(expected).every(([name, one]) => isAsExpected(is[name], one));
};

async function run({ name, world: settings, options = {}, random, steps }) {
  const world = new World({ random, ...settings });
  const restore = world.install();
  const uncaught = (error) => world.record({ reported: error.message });
  process.on("uncaughtException", uncaught);
  try {
    const it = new Run(world, options);
    for (const [number, step] of steps.entries()) {
      await world.advance(step.at);
      if (step.app !== undefined) for (const action of [step.app].flat()) it.app(action);
      if (step.server !== undefined) world.server(step.server, step.on);
      if (step.page !== undefined) world.page(step.page);
      if (step.token !== undefined) it.token(step.token);
      await settled();
      if (!step.expect) continue;
      const log = world.takeLog();
      const expected = step.expect === "nothing" ? [] : step.expect;
      const where = `${name}, step ${number + 1}, at ${step.at} ms`;
      if (!isAsExpected(log, expected)) {
        const show = (list) => list.map((entry) => `\n    ${JSON.stringify(entry)}`).join("") || "\n    nothing";
        throw new Error(`${where}: expected${show(expected)}\n  but there was${show(log)}`);
      }
    }
    it.client.close();
    await settled();
    assert.equal(world.timers.size, 0, `${name}: timers outlive close()`);
    assert.equal(world.pageListeners.size, 0, `${name}: listeners outlive close()`);
  } finally {
    process.off("uncaughtException", uncaught);
    restore();
  }
}

const chosen = vectors.filter(({ name }) => args.length === 0 || args.includes(name));
let failed = 0;
for (const vector of chosen) {
  try {
    await run(vector);
    console.log(`ok - ${vector.name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${vector.name}\n  ${error.stack.startsWith("Error: ") ? error.message : error.stack}`);
  }
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 && chosen.length > 0 ? 0 : 1);
