// The world of the vectors: a clock, timers, a page, a network and a server that do what a script says. The client is the real
// one; what it finds in `globalThis` is this world's.

import { setMaxListeners } from "node:events";

/** When the server's clock starts, and when the client's does, which is ten minutes ahead. */
const SERVER_START = 1_760_000_000_000;
const WALL_START = SERVER_START + 600_000;
const MARK = "\x1e";

const real = { setImmediate, uncaught: [] };
/** Until all that was promised has happened. */
export const settled = async () => {
  for (let i = 0; i < 4; i += 1) await new Promise((resolve) => real.setImmediate(resolve));
};

const bytesOf = (base64) => {
  const bytes = Buffer.from(base64, "base64");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};
const asJson = (data) => (typeof data === "string" ? { text: data } : { base64: Buffer.from(data).toString("base64") });

/** A connection, or a request that is open: what the client has dialled. */
class Connection {
  hangs = false;
  isOver = false;

  constructor(world) {
    this.world = world;
  }

  /** What is done to a connection whose end is past is not seen by anybody. */
  message(message) {
    this.world.record(message);
  }
}

class SocketConnection extends Connection {
  transport = "ws";

  constructor(world, socket) {
    super(world);
    this.socket = socket;
  }

  frame(data) {
    this.socket.onmessage?.({ data });
  }

  welcome(told) {
    this.frame(JSON.stringify({ type: "welcome", ...told }));
  }

  text(text) {
    this.frame(text.startsWith(MARK) ? MARK + text : text);
  }

  base64(base64) {
    this.frame(bytesOf(base64));
  }

  own(own) {
    this.frame(MARK + JSON.stringify(own));
  }

  accept() {
    this.socket.onopen?.({});
  }

  /** A page is not told the status. */
  status() {
    this.end(1006, "");
  }

  close(code, reason = "") {
    this.end(code, reason);
  }

  cut() {
    this.socket.onerror?.({});
    this.end(1006, "");
  }

  end(code, reason) {
    this.isOver = true;
    this.socket.onclose?.({ code, reason, wasClean: code !== 1006 });
  }
}

const response = (status, headers, body) => ({
  status,
  ok: status >= 200 && status < 300,
  headers: new Headers(headers),
  text: async () => body,
  json: async () => JSON.parse(body),
});

class RequestConnection extends Connection {
  constructor(world, settle) {
    super(world);
    this.settle = settle;
  }

  status(status, headers = {}, body = "") {
    this.settle.resolve(response(status, headers, body));
  }

  cut() {
    this.settle.reject(new TypeError("network error"));
  }
}

class StreamConnection extends RequestConnection {
  transport = "sse";
  chunks = [];
  reader = null;

  accept() {
    if (this.accepted) return;
    this.accepted = true;
    const read = () => new Promise((resolve, reject) => {
      this.reader = { resolve, reject };
      this.hand();
    });
    this.settle.resolve({ ...response(200, {}, ""), body: { getReader: () => ({ read }) } });
  }

  hand() {
    if (!this.reader || this.chunks.length === 0) return;
    const [{ resolve, reject }, chunk] = [this.reader, this.chunks.shift()];
    this.reader = null;
    if (chunk === "cut") reject(new TypeError("network error"));
    else resolve(chunk === "end" ? { done: true } : { done: false, value: chunk });
  }

  push(chunk) {
    this.accept();
    this.chunks.push(chunk);
    this.hand();
  }

  bytes(base64) {
    this.push(new Uint8Array(bytesOf(base64)));
  }

  event(name, data) {
    const lines = data.split("\n").map((line) => `data: ${line}\n`).join("");
    this.push(new TextEncoder().encode(`${name ? `event: ${name}\n` : ""}${lines}\n`));
  }

  welcome(told) {
    this.event("welcome", JSON.stringify({ type: "welcome", ...told }));
  }

  text(text) {
    if (text.includes("\r")) this.event("json", JSON.stringify(text));
    else this.event("", text);
  }

  base64(base64) {
    this.event("binary", base64);
  }

  own(own) {
    this.event("own", JSON.stringify(own));
  }

  close(code, reason = "") {
    this.event("close", JSON.stringify({ code, reason }));
    this.push("end");
  }

  cut() {
    if (this.accepted) this.push("cut");
    else super.cut();
  }
}

class PollConnection extends RequestConnection {
  transport = "poll";

  answer(more) {
    const { session, resume, received = 0, ...rest } = this.world.polled;
    const document = { session, resume, received, messages: [], own: [], ...rest, ...more };
    this.world.polled = { session: document.session, resume: document.resume, received: document.received };
    this.settle.resolve(response(200, {}, JSON.stringify(document)));
  }

  welcome(told) {
    this.answer(told);
  }

  messages(messages) {
    this.answer({ messages, received: (this.world.polled.received ?? 0) + messages.length });
  }

  text(text) {
    this.messages([{ text }]);
  }

  base64(data) {
    this.messages([{ data }]);
  }

  own(own) {
    this.answer({ own: [own] });
  }

  close(code, reason = "") {
    this.answer({ close: { code, reason } });
  }
}

export class World {
  /** What the client has done since it was last looked at. */
  log = [];
  ms = 0;
  wallShift = 0;
  serverShift = 0;
  timers = new Map();
  lastTimer = 0;
  connections = [];
  posts = [];
  polled = {};
  pageListeners = new Set();
  document = { visibilityState: "visible" };
  randoms = 0;

  constructor({ random = 0.5, time = false, hasWebSocket = true } = {}) {
    this.random = [random].flat();
    /** Whether what the client asks for the time is a part of the script. Else it is answered at once. */
    this.showsTime = time;
    this.hasWebSocket = hasWebSocket;
  }

  record(entry) {
    this.log.push(entry);
  }

  takeLog() {
    return this.log.splice(0);
  }

  get serverMs() {
    return Math.floor(SERVER_START + this.ms + this.serverShift);
  }

  /** Puts this world into `globalThis`. Returns what puts the old things back. */
  install() {
    const world = this;
    class FakeWebSocket {
      bufferedAmount = 0;

      constructor(url, protocols) {
        this.connection = new SocketConnection(world, this);
        world.dialled(this.connection, { transport: "ws", url: String(url), protocols });
      }

      send(data) {
        world.written(this.connection, data);
      }

      close(code, reason) {
        if (this.connection.isOver) return;
        this.connection.isOver = true;
        world.record(reason ? { close: code, reason } : { close: code });
      }
    }
    const replaced = {
      setTimeout: (f, ms = 0) => this.setTimer(f, ms),
      clearTimeout: (timer) => this.timers.delete(timer),
      performance: { now: () => this.ms },
      fetch: (url, init = {}) => this.fetch(new URL(url), init),
      WebSocket: this.hasWebSocket ? FakeWebSocket : undefined,
      document: this.document,
      addEventListener: (type, f, { signal }) => {
        const listener = { type, f };
        this.pageListeners.add(listener);
        setMaxListeners(0, signal);
        signal.addEventListener("abort", () => this.pageListeners.delete(listener));
      },
    };
    const before = new Map();
    for (const [name, value] of Object.entries(replaced)) {
      before.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    const [wall, random] = [Date.now, Math.random];
    Date.now = () => WALL_START + this.ms + this.wallShift;
    Math.random = () => this.random[this.randoms++ % this.random.length];
    return () => {
      for (const [name, descriptor] of before) {
        if (descriptor) Object.defineProperty(globalThis, name, descriptor);
        else delete globalThis[name];
      }
      [Date.now, Math.random] = [wall, random];
    };
  }

  setTimer(f, ms) {
    // As browsers do: what does not fit is at once.
    const delay = ms > 2 ** 31 - 1 || !(ms >= 0) ? 0 : ms;
    this.lastTimer += 1;
    this.timers.set(this.lastTimer, { at: this.ms + delay, f });
    return this.lastTimer;
  }

  /** Lets time pass, and the timers that are due then do what they do. */
  async advance(ms) {
    await settled();
    for (;;) {
      const [first] = [...this.timers].filter(([, { at }]) => at <= ms).sort(([, a], [, b]) => a.at - b.at);
      if (!first) break;
      const [timer, { at, f }] = first;
      this.timers.delete(timer);
      this.ms = Math.max(this.ms, at);
      f();
      await settled();
    }
    this.ms = Math.max(this.ms, ms);
  }

  dialled(connection, dial) {
    this.connections.push(connection);
    this.record({ dial });
  }

  /** Something that the client says; what it asks for the time is answered at once, unless the script does. */
  written(connection, data) {
    const own = typeof data === "string" && data[0] === MARK && data[1] !== MARK ? JSON.parse(data.slice(1)) : undefined;
    if (own?.type !== "time" || this.showsTime) return this.record({ write: own ? { own } : asJson(data) });
    if (connection.hangs || connection.isOver || connection.transport === "poll") return undefined;
    const answer = { type: "time", t: own.t, server_unix_ms: this.serverMs };
    Promise.resolve().then(() => connection.isOver || connection.own(answer));
    return "answered";
  }

  fetch(url, { method = "GET", headers = {}, body, signal }) {
    return new Promise((resolve, reject) => {
      const abort = () => reject(new DOMException("aborted", "AbortError"));
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      if (signal) setMaxListeners(0, signal);
      const settle = { resolve, reject };
      const form = url.pathname.match(/\/(sse|poll|send|session)(\/|$)/)[1];
      if (method === "DELETE") {
        this.record({ delete: url.href });
        return resolve(response(204, {}, ""));
      }
      if (method === "POST") {
        const connection = this.connections.at(-1);
        const isTime = typeof body === "string" && body.startsWith(`${MARK}{"type":"time"`);
        this.written(connection, body);
        if (isTime && !this.showsTime) return resolve(response(204, {}, ""));
        return this.posts.push(settle);
      }
      const connection = form === "sse" ? new StreamConnection(this, settle) : new PollConnection(this, settle);
      signal?.addEventListener("abort", () => { connection.isOver = true; });
      this.dialled(connection, { transport: form, url: url.href, authorization: headers.Authorization });
    });
  }

  /** What the page hears. */
  page(what) {
    if (what === "hidden" || what === "visible") {
      this.document.visibilityState = what;
      return this.pageEvent("visibilitychange");
    }
    if (typeof what === "string") return this.pageEvent(what, what === "pagehide" || what === "pageshow");
    // The wall clock is set, or the machine slept and the monotonic clock with it.
    if (what.wall !== undefined) this.wallShift += what.wall;
    // Timers fire late: nothing runs for so long.
    if (what.stall !== undefined) this.ms += what.stall;
    if (what.left !== undefined) this.pageEvent("pagehide", false);
  }

  pageEvent(type, persisted = false) {
    for (const listener of [...this.pageListeners]) if (listener.type === type) listener.f({ type, persisted });
  }

  /** What the server, or the network, does. `on` is the number of the connection, the last one if there is none. */
  server(action, on) {
    const connection = on === undefined ? this.connections.at(-1) : this.connections[on - 1];
    const [what, argument] = typeof action === "string" ? [action] : Object.entries(action)[0];
    switch (what) {
      case "hang":
        connection.hangs = true;
        return;
      case "clock":
        this.serverShift += argument;
        return;
      case "buffered":
        connection.socket.bufferedAmount = argument;
        return;
      case "answer":
        this.posts.shift().resolve(response(argument, {}, ""));
        return;
      case "lose":
        this.posts.shift().reject(new TypeError("network error"));
        return;
      case "status": {
        const [status, headers, body] = [argument].flat();
        return connection.status(status, headers, body);
      }
      case "close":
        return connection.close(...[argument].flat());
      case "time": {
        // Of the question with this number: what the server's clock was, if not what it is.
        const { t, server_unix_ms: server = this.serverMs } = argument;
        return connection.own({ type: "time", t, server_unix_ms: server });
      }
      default:
        return connection[what](argument);
    }
  }
}
