// Runs ../../link-vectors.json, whose form ../../README.md describes, against the client.
//
//   node test/vectors.mjs [NAME…]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { Link, LinkBusy, LinkError, LinkLost } from "../src/link.js";
import { ScriptedServer } from "./script.mjs";

const vectors = JSON.parse(readFileSync(new URL("../../link-vectors.json", import.meta.url)));
const MOST_MS = 20_000;
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const camelKeys = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [camel(name), value]));

/** A value with every `{"times":["x",300]}` in it as the text that it means. */
function expanded(value) {
  if (Array.isArray(value)) return value.map(expanded);
  if (value === null || typeof value !== "object") return value;
  if (value.times) return value.times[0].repeat(value.times[1]);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, expanded(one)]));
}

const messageOf = (message) => {
  if (message.base64 !== undefined) return new Uint8Array(Buffer.from(message.base64, "base64"));
  return message.json === undefined ? message : message.json;
};

const same = (is, expected) => {
  if (isDeepStrictEqual(is, expected)) return;
  const show = (value) => JSON.stringify(value)?.slice(0, 500);
  throw new Error(`expected ${show(expected)}, but there was ${show(is)}`);
};

/** The client of a vector, and what the script does with it. */
class Run {
  calls = new Map(); // by name: { promise, outcome, controller }
  streams = new Map();

  constructor(url, { backoff_ms: [leastMs, firstMs, mostMs, stableMs] = [1, 1, 1, 15_000], ...options }) {
    this.link = new Link(url, { ...camelKeys(options), backoff: { leastMs, firstMs, mostMs, stableMs } });
  }

  app(action, name, step) {
    if (action === "close") return void (this.closed = this.link.close());
    if (action === "drain") return this.call(name, () => this.link.drain());
    if (action.cancel) return this.calls.get(action.cancel).controller.abort();
    if (action.leave) return void this.streams.get(action.leave).close();
    if (action.next) return this.call(name, () => this.streams.get(action.next).next(), ({ value, done }) => (done ? { end: true } : { event: value }));
    if (action.echo) return this.call(name, () => this.echo(this.streams.get(action.echo)));
    if (action.events) {
      const { events, ...further } = action;
      const { app, as, ...options } = { ...step, ...further };
      return void this.streams.set(name, this.link.events(events, options));
    }
    const [[operation, fields]] = Object.entries(action);
    return this.call(name, (signal) => {
      if (operation !== "push") return this.link[camel(operation)]({ ...camelKeys(fields), signal });
      const { to, message, ...options } = fields;
      return this.link.push(camelKeys(to), messageOf(message), { ...camelKeys(options), signal });
    });
  }

  async echo(stream) {
    let pushed = 0;
    for await (const { text } of stream) {
      await this.link.push({ all: true }, text);
      pushed += 1;
    }
    return pushed;
  }

  call(name, begin, outcomeOf = (ok) => ({ ok: ok ?? null })) {
    const controller = new AbortController();
    const call = { controller };
    call.settled = begin(controller.signal).then(outcomeOf, (error) => {
      if (error instanceof LinkError) return { error: "LinkError", code: error.code };
      if (error instanceof LinkLost) return { error: "LinkLost", maybe_done: error.maybeDone };
      if (error instanceof LinkBusy) return { error: "LinkBusy" };
      return { error: error.name === "AbortError" ? "cancelled" : `${error.stack}` };
    }).then((outcome) => { call.outcome = outcome; });
    this.calls.set(name, call);
  }

  async expect(expected) {
    for (const [name, value] of Object.entries(expected)) {
      if (name === "pending") {
        await new Promise(setImmediate);
        for (const one of value) same([one, this.calls.get(one).outcome], [one, undefined]);
      } else if (name === "place") {
        const { of, ...place } = value;
        same(this.streams.get(of).place, place);
      } else {
        const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`waited in vain for ${name}`)), MOST_MS).unref());
        await Promise.race([this.calls.get(name).settled, late]);
        same({ [name]: this.calls.get(name).outcome }, { [name]: value });
      }
    }
  }
}

async function run({ name, options = {}, steps }) {
  const server = new ScriptedServer();
  await server.start();
  const it = new Run(server.url, options);
  try {
    for (const [number, step] of steps.entries()) {
      const { app, server: action, expect, as, ...rest } = expanded(step);
      try {
        if (app !== undefined) it.app(app, as, rest);
        if (action !== undefined) await server.do(action, rest, same);
        if (expect !== undefined) await it.expect(expect);
      } catch (error) {
        throw new Error(`${name}, step ${number + 1}: ${JSON.stringify(step).slice(0, 300)}\n  ${error.message}`, { cause: error });
      }
    }
    assert.deepEqual(server.dials.list.length, 0, `${name}: a connection that the script does not have`);
  } finally {
    const closed = it.link.close();
    await server.stop();
    await closed;
  }
}

const chosen = vectors.filter(({ name }) => process.argv.length < 3 || process.argv.slice(2).includes(name));
let failed = 0;
for (const vector of chosen) {
  try {
    await run(vector);
    console.log(`ok - ${vector.name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${vector.name}\n  ${error.message}`);
  }
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 && chosen.length > 0 ? 0 : 1);
