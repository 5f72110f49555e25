// Events, on a connection of their own, so that a program that does not read them holds up no replies.
import { LinkError, LinkLost } from "./errors.js";
import { TEXT } from "./frames.js";
import { Line } from "./line.js";

const LISTEN = 1; // the id of the only command here

/** What `for await` takes one event after the other from. An event counts as read when the next one is asked for. */
export class EventStream {
  #options;
  #listen;
  #line;
  #ticket;
  #isListening = false;
  #held = []; // { event, size, numbering }, from #head on
  #head = 0;
  #heldBytes = 0;
  #waiting = []; // calls of next()
  #readies = []; // calls of ready()
  #out = []; // what the program has got and may be at
  #numbering = 0; // each link that gannet does not know any more has another
  #counted = 0; // of this numbering
  #arrived = 0;
  #told = 0; // what #counted was when it dialled
  #skip = 0; // events that come again although they have arrived
  #isOver = false;
  #end;

  constructor(options, { resume, ...listen }) {
    this.#options = options;
    this.#listen = listen;
    if (resume) {
      this.#ticket = resume.resume;
      this.#counted = this.#arrived = resume.received;
      this.#isListening = true;
    }
    this.#line = new Line(options, {
      query: () => this.#query(),
      opened() {
        // The first message is a ticket.
      },
      message: (message, size) => this.#message(message, size),
      lost: () => { this.#skip = 0; },
      ended: (error) => this.#ended(error),
    });
  }

  /** Settles when it has no connection and makes no more. */
  get settled() {
    return this.#line.ended;
  }

  /** With this, as `resume` of a stream of another process, exactly the events come that have not been read. */
  get place() {
    return this.#ticket ? { resume: this.#ticket, received: this.#counted } : undefined;
  }

  /** When the server listens for it: whatever happens from then on is an event. */
  ready() {
    return new Promise((resolve, reject) => {
      this.#readies.push({ resolve, reject });
      this.#give();
    });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    for (const { numbering } of this.#out.splice(0)) if (numbering === this.#numbering) this.#counted += 1;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#give();
    });
  }

  async return() {
    await this.close();
    return { value: undefined, done: true };
  }

  /** Says goodbye: what comes from now on goes to other links of the share. */
  close() {
    this.#isOver = true;
    this.#held = [];
    this.#head = this.#heldBytes = 0;
    this.#give();
    return this.#line.close();
  }

  #query() {
    this.#told = this.#counted;
    return this.#ticket ? { resume: this.#ticket, received: this.#told } : { resume: "new" };
  }

  #message(message, size) {
    if (message.event !== undefined) this.#take(message, size);
    else if (message.resume !== undefined) this.#isBack(message);
    else if (message.error) this.#refused(message.error);
    else this.#isListening = true;
    this.#give();
    this.#pace();
  }

  #ended(error) {
    this.#end = error;
    this.#give();
  }

  #take(event, size) {
    if (this.#skip > 0) {
      this.#skip -= 1;
      return;
    }
    this.#arrived += 1;
    this.#hold(event, size);
  }

  #hold(event, size) {
    this.#held.push({ event, size, numbering: this.#numbering });
    this.#heldBytes += size;
    this.#give();
  }

  /** The first message of each connection. */
  #isBack({ resume, resumed, why }) {
    const wasLinked = this.#ticket !== undefined;
    this.#ticket = resume;
    if (resumed) {
      this.#skip = this.#arrived - this.#told;
    } else {
      this.#numbering += 1;
      this.#counted = this.#arrived = 0;
      // It still listens to what it did where events are missing.
      this.#isListening = why === "gap" && this.#isListening && !this.#listen.snapshot;
      // A server that keeps no links says of none that events are missing.
      if (wasLinked && resumed === undefined) this.#hold({ event: "gap" }, 0);
    }
    if (!this.#isListening) this.#line.connection.write(TEXT, Buffer.from(JSON.stringify({ id: LISTEN, op: "listen", ...this.#listen })));
  }

  #refused(error) {
    this.#ended(new LinkError(error));
    this.#line.close();
  }

  get #isFull() {
    return this.#held.length - this.#head >= this.#options.heldEvents || this.#heldBytes >= this.#options.heldBytes;
  }

  /** Reading stops where the program has not asked for what was read, and goes on when there is room. */
  #pace() {
    if (this.#isFull && this.#skip === 0) this.#line.connection?.pause();
  }

  #give() {
    while (this.#waiting.length > 0 && this.#head < this.#held.length) {
      const one = this.#held[this.#head];
      this.#held[this.#head] = undefined;
      this.#head += 1;
      this.#heldBytes -= one.size;
      this.#out.push(one);
      this.#waiting.shift().resolve({ value: one.event, done: false });
    }
    if (this.#head * 2 > this.#held.length) {
      this.#held = this.#held.slice(this.#head);
      this.#head = 0;
    }
    if (!this.#isFull) this.#line?.connection?.resume();
    if (this.#isListening) for (const { resolve } of this.#readies.splice(0)) resolve();
    if (!this.#isOver && !this.#end) return;
    for (const { reject } of this.#readies.splice(0)) reject(this.#end ?? new LinkLost("the stream is closed", false));
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#end && !this.#isOver) reject(this.#end);
      else resolve({ value: undefined, done: true });
    }
  }
}
