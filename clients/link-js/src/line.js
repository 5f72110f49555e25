// A connection that is made anew whenever it is lost, after pauses that grow.
import { Connection, dial } from "./connection.js";
import { LinkError } from "./errors.js";

/** Keeps a connection for its user, who is asked for a `query` and told: `opened`, `message`, `writable`, `lost`, and `ended` for good. */
export class Line {
  connection;
  #options;
  #user;
  #isOver = false;
  #wake = () => {};
  #stop = () => {};

  constructor(options, user) {
    this.#options = options;
    this.#user = user;
    this.ended = this.#stay();
  }

  close() {
    this.#isOver = true;
    this.connection?.close(1000);
    this.#stop();
    this.#wake();
    return this.ended;
  }

  async #stay() {
    const { leastMs, firstMs, mostMs, stableMs } = this.#options.backoff;
    for (let failures = 0; !this.#isOver; ) {
      const [error, openMs] = await this.#once();
      if (this.#isOver) return;
      if (error instanceof LinkError) return void this.#user.ended(error);
      if (openMs >= stableMs) failures = 0;
      if (openMs !== undefined) this.#user.lost(error);
      const most = error.retryMs === undefined ? Math.min(mostMs, firstMs * 2 ** failures) : firstMs;
      failures += 1;
      await this.#pause((error.retryMs ?? leastMs) + Math.random() * most);
    }
  }

  /** One connection, to its end: why it has ended, and how long it was open. */
  async #once() {
    const url = new URL(this.#options.url);
    for (const [name, value] of Object.entries(this.#user.query())) url.searchParams.set(name, value);
    const [error, socket, head] = await new Promise((resolve) => {
      this.#stop = dial(url, this.#options, (...result) => resolve(result));
    });
    this.#stop = () => {};
    if (error) return [error];
    if (this.#isOver) {
      socket.destroy();
      return [new Error("closed")];
    }
    const openedAt = performance.now();
    const connection = new Connection(socket, this.#options);
    this.connection = connection;
    this.#user.opened(connection);
    connection.read(head, (message, size) => this.#user.message(message, size), () => this.#user.writable?.());
    const why = await connection.ended;
    this.connection = undefined;
    return [why, performance.now() - openedAt];
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
