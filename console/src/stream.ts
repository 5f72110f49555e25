// The one stream of figures: opened, read, and opened again with a growing pause after it broke. Nothing while the page is hidden.
import { inWords, isAborted, Refused, request } from "./api.js";
import { backOff, EventReader, type StreamEvent } from "./sse.js";

/** After so long without a tick the figures are old. */
export const STALE_MS = 5_000;

export type Connection = "connecting" | "live" | "gone";

export interface StreamTold {
  event(event: StreamEvent): void;
  connection(state: Connection, why: string): void;
  refused(refused: Refused): void;
}

export class Stream {
  #told: StreamTold;
  #abort: AbortController | null = null;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #stale: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(told: StreamTold) {
    this.#told = told;
    document.addEventListener("visibilitychange", this.#seen);
    this.#seen();
  }

  close(): void {
    this.#closed = true;
    document.removeEventListener("visibilitychange", this.#seen);
    this.#stop();
  }

  /** Opens it now, without waiting for the pause. */
  now(): void {
    this.#stop();
    void this.#open();
  }

  #seen = (): void => {
    if (document.hidden) this.#stop();
    else if (!this.#abort) this.now();
  };

  #stop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#stale);
    this.#abort?.abort();
    this.#abort = null;
  }

  async #open(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#expect("The server does not answer.");
    try {
      const response = await request("GET", "/v1/stats/stream", { signal: abort.signal, accept: "text/event-stream" });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const events = new EventReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || abort.signal.aborted) break;
        for (const event of events.push(value)) this.#take(event);
      }
      if (!abort.signal.aborted) this.#again("The server has ended the stream.");
    } catch (error) {
      if (isAborted(error) || abort.signal.aborted) return;
      if (error instanceof Refused && [401, 403, 404].includes(error.status)) {
        this.#stop();
        this.#told.refused(error);
      } else {
        this.#again(inWords(error));
      }
    }
  }

  #take(event: StreamEvent): void {
    if (event.name === "tick") {
      this.#attempt = 0;
      this.#told.connection("live", "");
      this.#expect("No figures come.");
    }
    this.#told.event(event);
  }

  /** Says that the server is gone unless a tick comes in time. */
  #expect(why: string): void {
    clearTimeout(this.#stale);
    this.#stale = setTimeout(() => {
      this.#told.connection("gone", why);
      // A stream that is silent for longer is given up: what is between may have forgotten it.
      this.#stale = setTimeout(() => this.#again(why), STALE_MS);
    }, STALE_MS);
  }

  #again(why: string): void {
    this.#stop();
    if (this.#closed || document.hidden) return;
    this.#told.connection("gone", why);
    this.#retry = setTimeout(() => void this.#open(), backOff(this.#attempt));
    this.#attempt += 1;
  }
}
