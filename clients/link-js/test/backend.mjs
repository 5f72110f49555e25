// A backend of the soak: it hears what players say on two servers, and pushes numbers to their groups on both.
import { Link, LinkBusy, LinkLost } from "../src/link.js";

export class Backend {
  #links;
  #streams = [];
  #reading = [];
  #pushing;
  #isOver = false;
  #last = new Map(); // by session: the number that it said last
  #said = new Set(); // each user with each number, which two servers may tell in any order
  report = { heard: 0, gaps: 0, wrong: 0, doubled: 0, opens: 0, closes: 0, pushed: 0, done: 0, lost: 0, busy: 0, written: 0, unknown: 0, first: "" };

  constructor(name, urls, groups) {
    this.name = name;
    this.groups = groups;
    this.#links = urls.map((url) => new Link(url, { backoff: { firstMs: 200 } }));
  }

  async start() {
    for (const link of this.#links) {
      const stream = link.events(["open", "message", "close"]);
      await stream.ready();
      this.#streams.push(stream);
      this.#reading.push(this.#read(stream));
    }
    this.#pushing = this.#push();
  }

  async #read(stream) {
    for await (const event of stream) this.#hear(event);
  }

  #hear({ event, session, user, text }) {
    const { report } = this;
    if (event === "gap") report.gaps += 1;
    else if (event === "open") {
      report.opens += 1;
      this.#last.set(session, undefined);
    } else if (event === "close") {
      report.closes += 1;
      this.#last.delete(session);
    } else {
      report.heard += 1;
      const last = this.#last.get(session);
      const isWrong = !this.#last.has(session) || (last !== undefined && Number(text) !== last + 1);
      if (isWrong) report.first ||= `${user} ${session}: ${text} behind ${last}`;
      report.wrong += isWrong;
      report.doubled += this.#said.has(`${user} ${text}`);
      this.#last.set(session, Number(text));
      this.#said.add(`${user} ${text}`);
    }
  }

  /** A number to one group after the other, on both servers: its members are on one of them. */
  async #push() {
    const { report } = this;
    const replies = [];
    for (let number = 0; !this.#isOver; number += 1) {
      for (const [at, link] of this.#links.entries()) {
        report.pushed += 1;
        const text = `${this.name} ${number * this.#links.length + at}`;
        replies.push(link.push({ group: `g${number % this.groups}` }, text, { receipt: "written" }).then(({ written, pending = 0, closed = 0 }) => {
          report.done += 1;
          report.written += written;
          report.unknown += pending + closed;
        }, (error) => {
          if (error instanceof LinkLost) report.lost += 1;
          else if (error instanceof LinkBusy) report.busy += 1;
          else throw error;
        }));
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (replies.length > 1_000) await Promise.all(replies.splice(0));
    }
    await Promise.all(replies);
  }

  async stopPushing() {
    this.#isOver = true;
    await this.#pushing;
  }

  /** When all that has happened is heard: it has happened before this is called. */
  async end() {
    const until = Date.now() + 60_000;
    while (this.report.closes < this.report.opens && this.report.gaps === 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const link of this.#links) await link.close();
    await Promise.all(this.#reading);
    return this.report;
  }
}
