// Frames of RFC 6455, of a client's side.
import { randomBytes } from "node:crypto";

export const [CONTINUATION, TEXT, CLOSE, PING, PONG] = [0, 1, 8, 9, 10];
export const EMPTY = Buffer.alloc(0);

/** A whole message, or a control frame, as one masked frame (RFC 6455 section 5.2). */
export function frame(opcode, payload) {
  const size = payload.length;
  const start = size < 126 ? 6 : size < 65_536 ? 8 : 14;
  const bytes = Buffer.allocUnsafe(start + size);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (start === 8) bytes.writeUInt16BE(size, 2);
  if (start === 14) bytes.writeBigUInt64BE(BigInt(size), 2);
  const mask = randomBytes(4);
  mask.copy(bytes, start - 4);
  for (let at = 0; at < size; at += 1) bytes[start + at] = payload[at] ^ mask[at & 3];
  return bytes;
}

/** Bytes in, whole messages and control frames out. It throws where the server breaks the rules of section 5. */
export class Messages {
  #most;
  #input = EMPTY;
  #later = [];
  #laterBytes = 0;
  #needed = 2; // of #input, for the frame that begins there
  #parts = []; // of the message that is under way
  #partBytes = 0;
  #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(most) {
    this.#most = most;
  }

  push(chunk) {
    this.#later.push(chunk);
    this.#laterBytes += chunk.length;
  }

  /** `{ opcode, payload }`, with the text of a message as `payload`; or undefined until more has come. */
  next() {
    for (let one; (one = this.#frame()); ) {
      const { isFinal, opcode, payload } = one;
      if (opcode >= CLOSE) return one;
      if ((opcode === CONTINUATION) !== this.#parts.length > 0) throw new Error("a fragment of no message");
      this.#parts.push(payload);
      this.#partBytes += payload.length;
      if (this.#partBytes > this.#most) throw new Error("a message that is too large");
      if (!isFinal) continue;
      const whole = this.#parts.length === 1 ? payload : Buffer.concat(this.#parts);
      this.#parts = [];
      this.#partBytes = 0;
      return { opcode: TEXT, payload: this.#utf8.decode(whole), size: whole.length };
    }
    return undefined;
  }

  #frame() {
    if (this.#input.length + this.#laterBytes < this.#needed) return undefined;
    if (this.#laterBytes > 0) {
      this.#input = Buffer.concat([this.#input, ...this.#later]);
      this.#later = [];
      this.#laterBytes = 0;
    }
    const input = this.#input;
    const [head, short] = input;
    const [isFinal, opcode] = [head >= 0x80, head & 15];
    if ((head & 0x70) !== 0 || short >= 0x80) throw new Error("a frame with reserved bits or a mask");
    if (![CONTINUATION, TEXT, CLOSE, PING, PONG].includes(opcode)) throw new Error(`a frame with the opcode ${opcode}`);
    if (opcode >= CLOSE && (!isFinal || short > 125)) throw new Error("a control frame that is long or a fragment");
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    this.#needed = start;
    if (input.length < start) return undefined;
    const size = short < 126 ? short : short === 126 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2));
    if (size > this.#most) throw new Error("a message that is too large");
    this.#needed = start + size;
    if (input.length < this.#needed) return undefined;
    this.#input = input.subarray(this.#needed);
    this.#needed = 2;
    return { isFinal, opcode, payload: input.subarray(start, start + size) };
  }
}
