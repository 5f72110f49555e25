// A WebSocket for the tests, since Node 18 and 20 have none: what of the browsers' interface the client uses, over RFC 6455.
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

export class TestWebSocket {
  binaryType = "blob";
  protocol = "";
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  #socket = null;
  #request;
  #input = Buffer.alloc(0);
  #fragments = [];
  #type = 0;
  #isOver = false;
  #sentClose = false;

  constructor(url, protocols) {
    const key = randomBytes(16).toString("base64");
    const headers = {
      Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Protocol": protocols.join(", "),
    };
    this.#request = request(url.replace(/^ws/, "http"), { headers, agent: false });
    this.#request.on("error", () => this.#fail());
    // A page does not hear the status either.
    this.#request.on("response", (response) => { response.resume(); this.#fail(); });
    this.#request.on("upgrade", (response, socket, head) => {
      const accept = createHash("sha1").update(key + GUID).digest("base64");
      if (this.#isOver || response.headers["sec-websocket-accept"] !== accept) {
        socket.destroy();
        return this.#fail();
      }
      this.protocol = response.headers["sec-websocket-protocol"] ?? "";
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.on("data", (data) => this.#read(data));
      socket.on("error", () => {});
      socket.on("close", () => this.#end(1006, ""));
      this.onopen?.({});
      this.#read(head);
    });
    this.#request.end();
  }

  get bufferedAmount() {
    return this.#socket?.writableLength ?? 0;
  }

  send(data) {
    if (!this.#socket) throw new DOMException("still connecting", "InvalidStateError");
    if (this.#sentClose) return;
    const isText = typeof data === "string";
    const bytes = isText ? Buffer.from(data) : ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
    this.#write(isText ? TEXT : BINARY, bytes);
  }

  close(code, reason = "") {
    if (this.#isOver || this.#sentClose) return;
    if (!this.#socket) {
      this.#request.destroy();
      return this.#fail();
    }
    this.#close(code, Buffer.from(reason));
  }

  #close(code, reason) {
    if (this.#sentClose) return;
    const body = Buffer.alloc(code === undefined ? 0 : 2);
    if (code !== undefined) body.writeUInt16BE(code);
    this.#write(CLOSE, Buffer.concat([body, reason]));
    this.#sentClose = true;
  }

  #fail() {
    if (this.#isOver) return;
    setImmediate(() => {
      this.onerror?.({});
      this.#end(1006, "");
    });
  }

  #end(code, reason) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket?.destroy();
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  #write(opcode, body) {
    const mask = randomBytes(4);
    const length = body.length;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    if (length < 126) head[1] = 0x80 | length;
    else if (length < 65536) [head[1]] = [0x80 | 126, head.writeUInt16BE(length, 2)];
    else [head[1]] = [0x80 | 127, head.writeBigUInt64BE(BigInt(length), 2)];
    const masked = Buffer.from(body);
    for (let i = 0; i < length; i += 1) masked[i] ^= mask[i & 3];
    this.#socket.write(Buffer.concat([head, mask, masked]));
  }

  #read(data) {
    this.#input = this.#input.length === 0 ? data : Buffer.concat([this.#input, data]);
    while (!this.#isOver && this.#readFrame());
  }

  /** Whether there was a whole one. */
  #readFrame() {
    const input = this.#input;
    if (input.length < 2) return false;
    const short = input[1] & 0x7f;
    const headLength = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (input.length < headLength) return false;
    const length = short < 126 ? short : short === 126 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2));
    if (input.length < headLength + length) return false;
    const body = input.subarray(headLength, headLength + length);
    this.#input = input.subarray(headLength + length);
    this.#frame(input[0] & 15, (input[0] & 0x80) !== 0, body);
    return true;
  }

  #frame(opcode, isLast, body) {
    if (opcode === PING) return this.#write(PONG, body);
    if (opcode === PONG) return undefined;
    if (opcode === CLOSE) {
      const code = body.length < 2 ? 1005 : body.readUInt16BE(0);
      this.#close(code === 1005 ? undefined : code, Buffer.alloc(0));
      return this.#end(code, body.subarray(2).toString());
    }
    if (opcode !== CONTINUATION) [this.#type, this.#fragments] = [opcode, []];
    this.#fragments.push(body);
    if (!isLast) return undefined;
    const whole = Buffer.concat(this.#fragments);
    const data = this.#type === TEXT ? whole.toString() : whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length);
    return this.onmessage?.({ data });
  }
}
