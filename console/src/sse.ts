// An event stream, as bytes in and events out. EventSource cannot send a key, so the page reads the stream by itself.

export interface StreamEvent {
  name: string;
  data: string;
}

/** Takes the pieces of a stream as they come, however they are cut, and gives the events that are whole. */
export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #name = "";
  #data: string[] = [];

  push(bytes: Uint8Array): StreamEvent[] {
    const events: StreamEvent[] = [];
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (event) events.push(event);
    }
    return events;
  }

  #line(line: string): StreamEvent | null {
    if (line === "") {
      const event = this.#data.length > 0 ? { name: this.#name || "message", data: this.#data.join("\n") } : null;
      this.#name = "";
      this.#data = [];
      return event;
    }
    const [field = "", value = ""] = line.split(/:(.*)/s);
    const text = value.startsWith(" ") ? value.slice(1) : value;
    if (field === "event") this.#name = text;
    else if (field === "data") this.#data.push(text);
    return null;
  }
}

/** How long to wait before the next attempt: twice as long each time, up to 15 s, and never the same for two pages. */
export function backOff(attempt: number, random = Math.random()): number {
  return Math.min(15_000, 500 * 2 ** attempt) * (0.5 + random / 2);
}
