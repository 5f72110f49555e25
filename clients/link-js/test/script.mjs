// The server of a vector: it does what the script says, on real sockets, and hears what the client writes.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10];
const MOST_MS = 20_000;

/** What comes, in its order, for whoever waits for the next. */
class Inbox {
  list = [];
  #wake = () => {};

  push(one) {
    this.list.push(one);
    this.#wake();
  }

  async next(what, matches = () => true) {
    const timer = setTimeout(() => this.push({ late: true }), MOST_MS);
    try {
      for (;;) {
        const at = this.list.findIndex((one) => one.late || matches(one));
        if (at >= 0) {
          const [one] = this.list.splice(at, 1);
          if (one.late) throw new Error(`waited in vain for ${what}; there was ${JSON.stringify(this.list)}`);
          return one;
        }
        await new Promise((resolve) => { this.#wake = resolve; });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

function frame(opcode, payload, isFinal = true) {
  const bytes = Buffer.from(payload);
  const head = bytes.length < 126 ? Buffer.from([0, bytes.length]) : bytes.length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  if (head.length > 2) head[1] = head.length === 4 ? 126 : 127;
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  return Buffer.concat([head, bytes]);
}

/** A connection of the client's. */
class Peer {
  inbox = new Inbox();
  pings = new Inbox();
  alive = new Inbox(); // Pongs that nobody has asked for
  lastId;
  #input = Buffer.alloc(0);

  constructor(socket, head, answersPings) {
    this.socket = socket;
    this.answersPings = answersPings;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#read(chunk)).on("close", () => this.inbox.push({ end: true }));
    this.#read(head);
  }

  write(opcode, payload, isFinal) {
    this.socket.write(frame(opcode, payload, isFinal));
  }

  #read(chunk) {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (let used; (used = this.#frame()); ) this.#input = this.#input.subarray(used);
  }

  #frame() {
    const input = this.#input;
    if (input.length < 2) return 0;
    const [head, second] = input;
    const short = second & 127;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (input.length < start) return 0;
    const size = short < 126 ? short : short === 126 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2));
    const end = start + 4 + size;
    if (input.length < end) return 0;
    const mask = input.subarray(start, start + 4);
    const payload = Buffer.from(input.subarray(start + 4, end).map((byte, at) => byte ^ mask[at & 3]));
    if (head < 0x80 || (head & 0x70) !== 0 || second < 0x80) this.inbox.push({ fault: "a frame that is a fragment, has reserved bits or no mask" });
    else this.#take(head & 15, payload);
    return end;
  }

  #take(opcode, payload) {
    if (opcode === TEXT) this.inbox.push({ text: JSON.parse(payload) });
    else if (opcode === PONG) (payload.length === 0 ? this.alive : this.inbox).push({ pong: `${payload}` });
    else if (opcode === CLOSE) this.inbox.push({ close: payload.length < 2 ? 1005 : payload.readUInt16BE(0) });
    else if (opcode !== PING) this.inbox.push({ fault: `the opcode ${opcode}` });
    else {
      this.pings.push({ ping: `${payload}` });
      if (this.answersPings) this.write(PONG, payload);
    }
  }
}

export class ScriptedServer {
  peers = [];
  dials = new Inbox();
  #server;
  #port = 0;
  #quiet = 0;
  #open = new Set();

  async start() {
    this.#server = createServer((socket) => {
      this.#open.add(socket);
      socket.on("error", () => {}).on("close", () => this.#open.delete(socket));
      let head = Buffer.alloc(0);
      const read = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", read);
        const [first, ...lines] = head.subarray(0, end).toString("latin1").split("\r\n");
        const headers = Object.fromEntries(lines.map((line) => [line.split(":")[0].toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
        this.dials.push({ socket, url: new URL(first.split(" ")[1], "http://x"), headers, rest: head.subarray(end + 4) });
      };
      socket.on("data", read);
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = this.#server.address().port;
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  stop() {
    this.#open.forEach((socket) => socket.destroy());
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** Does one step. `same` throws where two values are not. */
  async do(action, { on, ...step }, same) {
    const [what, argument] = typeof action === "string" ? [action] : Object.entries(action)[0];
    if (this[what]) return this[what](argument, step, same);
    const peer = on === undefined ? this.peers.at(-1) : this.peers[on - 1];
    if (!ON_PEER[what]) throw new Error(`the server knows no ${what}`);
    return ON_PEER[what](peer, argument, same, () => `quiet ${(this.#quiet += 1)}`);
  }

  away() {
    return this.stop();
  }

  back() {
    return this.start();
  }

  async accept(_, { query, headers, answersPings = true }, same) {
    const dial = await this.dials.next("a connection");
    same(dial.url.pathname, "/v1/link");
    if (query) same(Object.fromEntries(dial.url.searchParams), query);
    for (const [name, value] of Object.entries(headers ?? {})) same(dial.headers[name], value);
    const accept = createHash("sha1").update(`${dial.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    dial.socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: gannet.link.json\r\n\r\n`);
    this.peers.push(new Peer(dial.socket, dial.rest, answersPings));
  }

  async refuse([status, headers, body]) {
    const { socket } = await this.dials.next("a connection");
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const lines = Object.entries({ ...headers, "Content-Length": Buffer.byteLength(text), Connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${status} No\r\n${lines.join("")}\r\n${text}`);
  }
}

/** What a step does on one connection. */
const ON_PEER = {
  async read(peer, expected, same) {
    const one = await peer.inbox.next(JSON.stringify(expected));
    peer.lastId = one.text?.id;
    same(one, { text: expected.id === "any" ? { ...expected, id: peer.lastId } : expected });
  },
  answer: (peer, ok) => peer.write(TEXT, JSON.stringify({ id: peer.lastId, ok })),
  send: (peer, message) => peer.write(TEXT, JSON.stringify(message)),
  async frames(peer, frames, same) {
    const bytes = Buffer.concat(frames.map(({ opcode, isFinal, text }) => frame(opcode, text, isFinal)));
    // Each byte by a write of its own: the kernel may still join some.
    if (frames.length > 3) for (const byte of bytes) await new Promise((resolve) => peer.socket.write(Buffer.of(byte), resolve));
    else peer.socket.write(bytes);
  },
  ping: (peer, payload) => peer.write(PING, payload),
  pong: async (peer, payload, same) => same(await peer.inbox.next("a Pong"), { pong: payload }),
  alive: (peer) => peer.alive.next("a Pong that was not asked for"),
  pinged: (peer) => peer.pings.next("a Ping"),
  /** Whatever the client has written before the Pong would be seen before it. */
  async quiet(peer, _, same, token) {
    const payload = token();
    peer.write(PING, payload);
    same(await peer.inbox.next("a Pong"), { pong: payload });
  },
  silent: (peer, _, same) => same(peer.inbox.list, []),
  cut: (peer) => peer.socket.resetAndDestroy(),
  close: (peer, [code, reason]) => peer.write(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)])),
  async closed(peer, code, same) {
    same(await peer.inbox.next("a Close"), { close: code });
    peer.socket.end(frame(CLOSE, Buffer.from([code >> 8, code & 255])));
  },
  ended: async (peer, _, same) => same(await peer.inbox.next("the end"), { end: true }),
};
