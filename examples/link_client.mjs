// A client of gannet's link (docs/link.md) for Node.js 18 and newer, without dependencies: copy it into your game.
//
// It speaks the JSON form. If its connection is cut it comes back and goes on where it was: no event is lost, and commands whose
// replies are missing are sent again. So ask only for what may be done twice.
import { createHash, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 200;
const MAX_COMMANDS = 256; // in one message: the server's max_pipelined

/** An error that gannet has answered. */
export class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

/**
 * A link. It emits "event" for each event, and "end" when it has ended for good: it was closed, or gannet does not know it any more,
 * or events are missing. Then other links of its share have its sessions.
 */
export class Link extends EventEmitter {
  #socket;
  #ticket = "new";
  #received = 0;
  #asked = new Map();
  #lastId = 0;
  #hasEnded = false;

  /** Connects to the backend port at `address`, as "127.0.0.1:9001", with a key if the port wants one. It tries until it can. */
  constructor(address, key) {
    super();
    this.#stay(`http://${address}/v1/link`, key ? { Authorization: `Bearer ${key}` } : {});
  }

  /** Sends a command. Its reply; or it throws `Refused`, or another error if the link ends. */
  ask(command) {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return reject(new Error("the link has ended"));
      const asked = { ...command, id: ++this.#lastId };
      this.#asked.set(asked.id, { asked, resolve, reject });
      this.#send([asked]);
    });
  }

  /** Sends commands that get no replies. They are lost if the link has no connection, or gannet is behind with reading it. */
  tell(commands) {
    if (!this.#hasEnded && !this.#socket?.writableNeedDrain) this.#send(commands);
  }

  /** Says goodbye: the sessions go to other links of the share at once. */
  close() {
    this.#hasEnded = true;
    this.#socket?.end(frame(8, Buffer.from([1000 >> 8, 1000 & 255])));
  }

  #send(commands) {
    for (let at = 0; at < commands.length; at += MAX_COMMANDS) {
      this.#socket?.write(frame(1, Buffer.from(JSON.stringify(commands.slice(at, at + MAX_COMMANDS)))));
    }
  }

  async #stay(url, headers) {
    while (!this.#hasEnded && this.#ticket !== null) {
      const received = this.#ticket === "new" ? "" : `&received=${this.#received}`;
      try {
        await this.#read(await connect(`${url}?resume=${this.#ticket}${received}`, headers));
      } catch (error) {
        console.error(`no link: ${error.message}`);
      }
      this.#socket = undefined;
      await sleep(RETRY_MS);
    }
    this.#hasEnded = true;
    this.#asked.forEach(({ reject }) => reject(new Error("the link has ended")));
    this.emit("end");
  }

  /** Takes what comes on a connection, to its end. */
  #read(socket) {
    const frames = new Frames();
    socket.on("error", (error) => console.error(`the link's connection: ${error.message}`));
    socket.on("data", (chunk) => {
      for (const { opcode, payload } of frames.read(chunk)) {
        if (opcode === 1) this.#take(JSON.parse(payload), socket);
        else if (opcode === 9) socket.write(frame(10, payload));
        else if (opcode === 8 && socket.writable) socket.end(frame(8, payload));
      }
    });
    return new Promise((resolve) => socket.on("close", resolve));
  }

  #take(message, socket) {
    if (message.event) {
      this.#received += 1;
      if (!this.#hasEnded) this.emit("event", message);
    } else if ("resume" in message) {
      this.#socket = socket;
      this.#ticket = message.resume;
      if (message.resumed === false) return this.close();
      this.#send([...this.#asked.values()].map(({ asked }) => asked));
    } else {
      const asked = this.#asked.get(message.id);
      if (!asked) return console.error(`the link: ${JSON.stringify(message)}`);
      this.#asked.delete(message.id);
      if (message.error) asked.reject(new Refused(message.error));
      else asked.resolve(message.ok);
    }
  }
}

/** A socket behind the handshake of RFC 6455, section 4.1. */
async function connect(url, headers) {
  const key = randomBytes(16).toString("base64");
  const upgrade = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": key };
  const asking = request(url, { headers: { ...headers, ...upgrade, "Sec-WebSocket-Protocol": "gannet.link.json" } }).end();
  asking.on("response", (response) => asking.destroy(new Error(`gannet answers ${response.statusCode}`)));
  const [response, socket, head] = await once(asking, "upgrade");
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (response.headers["sec-websocket-accept"] !== accept) throw new Error("the answer is not a WebSocket's");
  if (head.length > 0) socket.unshift(head);
  return socket.setNoDelay().setKeepAlive(true, 5_000);
}

/** Reads frames: section 5.2. Those of a server are not masked, and gannet does not fragment messages. */
class Frames {
  #input = Buffer.alloc(0);

  *read(chunk) {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (let frame; (frame = this.#first()); ) {
      this.#input = this.#input.subarray(frame.end);
      yield frame;
    }
  }

  /** The first frame, if all of it is there. */
  #first() {
    const input = this.#input;
    const short = input[1] ?? 0;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (input.length < start) return undefined;
    const size = short < 126 ? short : short === 126 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2));
    const end = start + size;
    return input.length < end ? undefined : { opcode: input[0] & 15, payload: input.subarray(start, end), end };
  }
}

/** A whole message as one frame, masked as those of clients are. */
function frame(opcode, payload) {
  const size = payload.length;
  const header = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  header[0] = 128 | opcode;
  header[1] = 128 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (header.length === 4) header.writeUInt16BE(size, 2);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(size), 2);
  const mask = randomBytes(4);
  return Buffer.concat([header, mask, payload.map((byte, at) => byte ^ mask[at & 3])]);
}
