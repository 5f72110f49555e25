// The client of gannet's link (docs/link.md) for backends in Node.js 18 and newer, without dependencies. ../../../docs/clients.md
// describes it, ../index.d.ts has its types, and ../../link-vectors.json what it does in each case.
import { Commands } from "./commands.js";
import { EventStream } from "./events.js";
import { OPERATIONS } from "./operations.js";

export { LinkBusy, LinkError, LinkLost } from "./errors.js";

/** Every limit and time, as the options of a link may change them. */
const DEFAULTS = {
  window: 1_024, // commands that are written and not answered
  waitingCommands: 65_536, // commands that wait to be written
  waitingBytes: 16 * 1_024 * 1_024,
  heldEvents: 4_096, // events that have been read from the socket and not been asked for
  heldBytes: 16 * 1_024 * 1_024,
  messageBytes: 64 * 1_024 * 1_024, // of the largest message that is taken
  patienceMs: 10_000, // how long a command waits for a connection
  connectMs: 8_000, // for an upgrade
  silenceMs: 10_000, // then a Ping is sent; as long again, then the connection is given up
  pausedMs: 1_000, // how often a connection that is not read says that it is there
  closeMs: 1_000, // how long the answer to a Close is waited for
  backoff: { leastMs: 100, firstMs: 1_000, mostMs: 30_000, stableMs: 15_000 },
  firstId: 1,
};

/** `ttlMs` is the field `ttl_ms`. */
const fieldName = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const fieldsOf = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [fieldName(name), value]));
const isPlain = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const selectors = (value) => (isPlain(value) ? fieldsOf(value) : value);

/** The field of a push that a message is: text, bytes, or any other value as JSON. */
function messageField(message) {
  if (typeof message === "string") return { text: message };
  if (message instanceof ArrayBuffer) return { data: Buffer.from(message).toString("base64") };
  if (ArrayBuffer.isView(message)) return { data: Buffer.from(message.buffer, message.byteOffset, message.byteLength).toString("base64") };
  return { json: message };
}

/** A link to a gannet's backend port: commands on one connection, and each stream of events on another. */
export class Link {
  #options;
  #commands;
  #streams = new Set();
  #isClosed = false;

  constructor(url, { app, ...options } = {}) {
    const address = new URL(url.replace(/^ws/, "http"));
    if (address.pathname === "/") address.pathname = "/v1/link";
    if (app !== undefined) address.searchParams.set("app", app);
    this.#options = { ...DEFAULTS, ...options, url: address, backoff: { ...DEFAULTS.backoff, ...options.backoff } };
    this.#commands = new Commands(this.#options);
  }

  /** Any command, with its fields as docs/link.md has them. */
  command(command, { signal } = {}) {
    return this.#commands.ask(command, signal);
  }

  push(to, message, { signal, except, ...fields } = {}) {
    const command = { op: "push", to: selectors(to), ...messageField(message), ...fieldsOf(fields) };
    return this.command(except === undefined ? command : { ...command, except: selectors(except) }, { signal });
  }

  events(kinds, options = {}) {
    if (this.#isClosed) throw new Error("the link is closed");
    const stream = new EventStream(this.#options, { events: kinds, ...options });
    this.#streams.add(stream);
    stream.settled.then(() => this.#streams.delete(stream));
    return stream;
  }

  drain() {
    return this.#commands.drain();
  }

  async close() {
    this.#isClosed = true;
    await Promise.all([this.#commands, ...this.#streams].map((one) => one.close()));
  }
}

for (const operation of OPERATIONS) {
  const name = operation.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  const method = function ({ signal, ...fields } = {}) {
    return this.command({ op: operation, ...fieldsOf(fields) }, { signal });
  };
  Object.defineProperty(method, "name", { value: name });
  Object.defineProperty(Link.prototype, name, { value: method, writable: true, configurable: true });
}
