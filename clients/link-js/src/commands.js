// Commands and their replies, on a connection of their own: what is in flight, what waits, and what becomes of both when it is lost.
import { LinkBusy, LinkError, LinkLost } from "./errors.js";
import { TEXT } from "./frames.js";
import { Line } from "./line.js";

const LAST_ID = 2 ** 32 - 1;
const MOST_SPARE = 1_024; // places of the queue that are kept for nothing
/** A surrogate without its pair, as JSON writes it: the server could not say which command it is in. */
const LONE_SURROGATE = /(?<!\\)(\\\\)*\\ud[89a-f]/;

export class Commands {
  #options;
  #line;
  #asked = new Map(); // by their ids, until they are answered: those that wait, and those that are written
  #queue = []; // from #head on, those that wait, and some that have been cancelled
  #head = 0;
  #waiting = 0;
  #waitingBytes = 0;
  #nextId;
  #drains = [];
  #patience;
  #lostAt = performance.now();
  #end;

  constructor(options) {
    this.#options = options;
    this.#nextId = options.firstId;
  }

  /** The reply to a command. It is written at once if it may be, before this returns. */
  ask(command, signal) {
    if (this.#end) return Promise.reject(this.#end);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { waitingCommands, waitingBytes } = this.#options;
    const id = this.#freeId();
    const text = JSON.stringify({ id, ...command });
    if (text.includes("\\ud") && LONE_SURROGATE.test(text)) return Promise.reject(new TypeError("a surrogate without its pair"));
    const bytes = Buffer.from(text);
    const mustWait = this.#waiting > 0 || !this.#mayWrite();
    if (mustWait && (this.#waiting >= waitingCommands || this.#waitingBytes + bytes.length > waitingBytes)) {
      return Promise.reject(new LinkBusy(`${this.#waiting} commands wait, of ${this.#waitingBytes} bytes`));
    }
    return new Promise((resolve, reject) => {
      const entry = { id, bytes, resolve, reject, at: performance.now(), isWritten: false, isOver: false };
      entry.cancel = () => this.#cancel(entry, signal.reason);
      entry.settled = () => signal?.removeEventListener("abort", entry.cancel);
      signal?.addEventListener("abort", entry.cancel, { once: true });
      this.#asked.set(id, entry);
      this.#queue.push(entry);
      this.#waiting += 1;
      this.#waitingBytes += bytes.length;
      this.#line ??= new Line(this.#options, this);
      this.#write();
      this.#bePatient();
    });
  }

  /** When at most half of what may wait waits. */
  drain() {
    return this.#hasRoom() ? Promise.resolve() : new Promise((resolve) => this.#drains.push(resolve));
  }

  close() {
    this.ended(new LinkLost("the link is closed", false));
    return this.#line?.close();
  }

  query() {
    return {};
  }

  opened() {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#write();
  }

  writable() {
    this.#write();
  }

  message({ id, ok, error }) {
    const entry = this.#asked.get(id);
    if (!entry?.isWritten) {
      // One of the commands will not be answered, and it is not known which.
      const why = new Error(`a reply to no command: ${JSON.stringify(error ?? id)}`);
      return this.#line.connection.close(1002, why);
    }
    this.#asked.delete(id);
    if (!entry.isOver) this.#settle(entry, () => (error ? entry.reject(new LinkError(error)) : entry.resolve(ok)));
    return this.#write();
  }

  lost(why) {
    this.#lostAt = performance.now();
    for (const entry of this.#asked.values()) {
      if (!entry.isWritten) continue;
      this.#asked.delete(entry.id);
      if (!entry.isOver) this.#settle(entry, () => entry.reject(new LinkLost(`the link was lost: ${why.message}`, true, { cause: why })));
    }
    this.#bePatient();
  }

  ended(error) {
    this.#end ??= error;
    clearTimeout(this.#patience);
    for (const entry of this.#asked.values()) {
      const lost = error instanceof LinkLost ? new LinkLost(error.message, entry.isWritten) : error;
      if (!entry.isOver) this.#settle(entry, () => entry.reject(lost));
    }
    this.#asked.clear();
    this.#queue = [];
    this.#waiting = this.#waitingBytes = 0;
    this.#drained();
  }

  #freeId() {
    for (;;) {
      const id = this.#nextId;
      this.#nextId = id === LAST_ID ? 1 : id + 1;
      if (!this.#asked.has(id)) return id;
    }
  }

  /** How many are written and not answered: cancelled ones too, whose ids are not free before their replies have come. */
  #mayWrite() {
    const connection = this.#line?.connection;
    return connection !== undefined && !connection.isFull && this.#asked.size - this.#waiting < this.#options.window;
  }

  #write() {
    while (this.#waiting > 0 && this.#mayWrite()) {
      const entry = this.#first();
      this.#leaves(entry);
      entry.isWritten = true;
      this.#line.connection.write(TEXT, entry.bytes);
    }
    this.#drained();
  }

  /** The command that has waited for longest. */
  #first() {
    while (this.#queue[this.#head].isOver) this.#head += 1;
    return this.#queue[this.#head];
  }

  /** It waits no more. The queue is never much longer than what waits. */
  #leaves(entry) {
    if (this.#queue[this.#head] === entry) this.#head += 1;
    this.#waiting -= 1;
    this.#waitingBytes -= entry.bytes.length;
    if (this.#queue.length < 2 * this.#waiting + MOST_SPARE) return;
    this.#queue = this.#queue.filter((one, at) => at >= this.#head && !one.isOver);
    this.#head = 0;
  }

  #settle(entry, how) {
    entry.isOver = true;
    entry.settled();
    how();
  }

  #cancel(entry, reason) {
    if (entry.isOver) return;
    this.#settle(entry, () => entry.reject(reason));
    if (entry.isWritten) return;
    this.#asked.delete(entry.id);
    this.#leaves(entry);
    this.#drained();
  }

  #hasRoom() {
    const { waitingCommands, waitingBytes } = this.#options;
    return this.#waiting <= waitingCommands / 2 && this.#waitingBytes <= waitingBytes / 2;
  }

  #drained() {
    if (this.#hasRoom()) for (const resolve of this.#drains.splice(0)) resolve();
  }

  /** Without a connection a command waits for so long, and no longer. They wait in their order: one timer is enough. */
  #bePatient() {
    if (this.#line?.connection || this.#waiting === 0 || this.#patience) return;
    const left = () => Math.max(this.#first().at, this.#lostAt) + this.#options.patienceMs - performance.now();
    this.#patience = setTimeout(() => {
      this.#patience = undefined;
      while (this.#waiting > 0 && left() <= 0) this.#giveUp(this.#first());
      this.#bePatient();
    }, Math.max(left(), 0));
  }

  #giveUp(entry) {
    this.#asked.delete(entry.id);
    this.#leaves(entry);
    this.#settle(entry, () => entry.reject(new LinkLost(`no connection for ${this.#options.patienceMs} ms`, false)));
    this.#drained();
  }
}
