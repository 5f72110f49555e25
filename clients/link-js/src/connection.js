// A WebSocket to gannet's backend port: its upgrade, its messages, its silence and its end.
import { createHash, randomBytes } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import { LinkError } from "./errors.js";
import { CLOSE, EMPTY, frame, Messages, PING, PONG, TEXT } from "./frames.js";

const MOST_REFUSAL_BYTES = 65_536;

/** A connection behind its upgrade. `ended` tells why it has ended; whoever reads it takes each message. */
export class Connection {
  #socket;
  #messages;
  #options;
  #take = () => {};
  #why;
  #isPaused = false;
  #isClosing = false;
  #isCorked = false;
  #silence;
  #silentFor = 0;
  #alive;

  constructor(socket, options) {
    this.#socket = socket.setNoDelay(true);
    this.#options = options;
    this.#messages = new Messages(options.messageBytes);
    this.#silence = setInterval(() => this.#ask(), options.silenceMs);
    socket.on("error", (error) => { this.#why ??= error; });
    this.ended = new Promise((resolve) => socket.on("close", () => {
      clearInterval(this.#silence);
      clearInterval(this.#alive);
      clearTimeout(this.#isClosing);
      resolve(this.#why ?? new Error("the connection was cut"));
    }));
  }

  /** From now on `take(message, size)` gets each message, and `writable` is called when more can be written. */
  read(head, take, writable) {
    this.#take = take;
    this.#socket.on("drain", writable).on("data", (chunk) => this.#push(chunk));
    if (head.length > 0) this.#push(head);
  }

  /** Whether what is written would only wait in this process. */
  get isFull() {
    return this.#isClosing !== false || this.#socket.destroyed || this.#socket.writableNeedDrain;
  }

  /** What one task writes leaves together. */
  write(opcode, payload) {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(frame(opcode, payload));
  }

  /**
   * Stops reading. Pongs that were not asked for say that the program is there, which has to be heard of within link_idle_ms; and
   * the end of a connection that is not read shows when something is written.
   */
  pause() {
    if (this.#isPaused || this.#isClosing !== false) return;
    this.#isPaused = true;
    this.#socket.pause();
    this.#alive ??= setInterval(() => this.#isPaused && this.write(PONG, EMPTY), this.#options.pausedMs);
  }

  resume() {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#silentFor = 0;
    this.#go();
    if (!this.#isPaused) this.#socket.resume();
  }

  close(code, why) {
    if (this.#isClosing !== false || this.#socket.destroyed) return;
    this.#why ??= why;
    const body = code === undefined ? EMPTY : Buffer.from([code >> 8, code & 255]);
    this.write(CLOSE, body);
    this.#isClosing = setTimeout(() => this.#socket.destroy(), this.#options.closeMs);
    // What comes before the answer to the Close is nobody's.
    this.#take = () => {};
    this.#isPaused = false;
    this.#socket.resume();
  }

  #push(chunk) {
    this.#silentFor = 0;
    this.#messages.push(chunk);
    this.#go();
  }

  #go() {
    try {
      for (let one; !this.#isPaused && (one = this.#messages.next()); ) this.#message(one);
    } catch (error) {
      this.close(1002, error);
    }
  }

  #message({ opcode, payload, size }) {
    if (opcode === TEXT) return this.#take(JSON.parse(payload), size);
    if (opcode === PING && this.#isClosing === false) return this.write(PONG, payload);
    if (opcode !== CLOSE) return undefined;
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
    this.#why ??= new Error(`closed with ${code ?? "no code"}: ${payload.subarray(2)}`);
    this.close(code);
    return void this.#socket.end();
  }

  /** A connection that is not read says nothing, and is not asked. */
  #ask() {
    if (this.#isPaused || this.#isClosing !== false) return;
    this.#silentFor += 1;
    if (this.#silentFor === 1) return this.write(PING, EMPTY);
    this.#why ??= new Error("the server is silent");
    this.#socket.destroy();
  }
}

/** Asks for an upgrade. `give(error, socket, head)` is called once; `stop()` ends the attempt. */
export function dial(url, { key, tls, connectMs }, give) {
  const nonce = randomBytes(16).toString("base64");
  const headers = {
    Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": nonce,
    "Sec-WebSocket-Protocol": "gannet.link.json", ...(key && { Authorization: `Bearer ${key}` }),
  };
  const request = (url.protocol === "https:" ? https : http).request(url, { ...tls, headers, agent: false });
  const timer = setTimeout(() => request.destroy(new Error("no answer to the upgrade")), connectMs);
  const done = (...result) => {
    clearTimeout(timer);
    give(...result);
    give = () => {};
  };
  let isAnswered = false;
  request.on("error", (error) => done(error)).on("close", () => isAnswered || done(new Error("the connection was cut")));
  request.on("response", (response) => {
    isAnswered = true;
    refusal(response).then(done, done);
  });
  request.on("upgrade", (response, socket, head) => {
    const accept = createHash("sha1").update(`${nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const { "sec-websocket-accept": is, "sec-websocket-protocol": protocol } = response.headers;
    if (is === accept && protocol === "gannet.link.json") return done(undefined, socket, head);
    socket.destroy();
    return done(new Error("the answer is not that of a link"));
  });
  request.end();
  return () => request.destroy();
}

/** What an answer without an upgrade means: a LinkError is final, and any other may have `retryMs`. */
async function refusal(response) {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    text += chunk;
    if (text.length > MOST_REFUSAL_BYTES) break;
  }
  const status = response.statusCode;
  let said;
  try {
    said = JSON.parse(text).error;
  } catch {
    // A proxy has answered, and not gannet.
  }
  const { code = `http_${status}`, message = `the server answers ${status}` } = said ?? {};
  if (status < 500 && status !== 408 && status !== 429) return new LinkError({ code, message });
  const seconds = Number(response.headers["retry-after"] ?? NaN);
  return Object.assign(new Error(`${code}: ${message}`), Number.isFinite(seconds) && { retryMs: seconds * 1_000 });
}
