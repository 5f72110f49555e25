// A player's connection, from the page: an app without secrets takes the name as it is, another one wants a token.
import { get } from "../api.js";
import { type Child, h, say } from "../dom.js";
import { clockMillis, payload } from "../format.js";
import type { Model } from "../model.js";
import { box, button, field, input } from "../parts.js";

/** What is kept of the talk. */
const MOST_LINES = 500;

/** The address of the client port: as the configuration says, if the key may read it, else a guess. */
async function clientPort(model: Model): Promise<string> {
  const guess = `${location.protocol === "https:" ? "wss" : "ws"}://${location.hostname}:9000`;
  if (!model.administers) return guess;
  try {
    const { listen, tls } = await get<{ listen: unknown; tls?: { cert: string | null } }>(["v1", "admin", "config"]);
    const first = Array.isArray(listen) ? listen[0] : listen;
    const port = typeof first === "string" ? /:(\d+)$/.exec(first)?.[1] : undefined;
    return port && port !== "0" ? `${tls?.cert ? "wss" : "ws"}://${location.hostname}:${port}` : guess;
  } catch {
    return guess;
  }
}

export class TestClient {
  #socket: WebSocket | null = null;
  #url = input({ value: "" });
  #token = input({ placeholder: "for an app with secrets" });
  #message = input({ placeholder: "A message to the backend" });
  #connect = button("Connect", () => this.#toggle(), "primary");
  #send = button("Send", () => this.#sendIt());
  #state = h("span", { role: "status" }, "not connected");
  #talk = h("ol", { class: "talk", tabindex: 0, "aria-label": "What was sent and received" });
  readonly node: HTMLElement;

  constructor(model: Model) {
    this.#send.disabled = true;
    this.#message.addEventListener("keydown", (event) => event.key === "Enter" && this.#sendIt());
    this.node = box("Test client", "A WebSocket to the port for players, from this page.",
      field("Address", this.#url), field("Token", this.#token),
      h("div", { class: "buttons" }, this.#connect, this.#state), this.#talk,
      h("div", { class: "fields" }, field("Message", this.#message, true), this.#send));
    void clientPort(model).then((port) => {
      if (this.#url.value === "") this.#url.value = `${port}/ws?user=console`;
    });
  }

  close(): void {
    this.#socket?.close(1000);
    this.#socket = null;
  }

  #toggle(): void {
    if (this.#socket) this.#socket.close(1000);
    else this.#open();
  }

  #open(): void {
    const token = this.#token.value.trim();
    let socket: WebSocket;
    try {
      // The token is among the subprotocols: no log has it. Beside it another has to be offered.
      socket = token ? new WebSocket(this.#url.value, ["gannet.v1", `gannet.token.${token}`]) : new WebSocket(this.#url.value);
    } catch (error) {
      return say(this.#state, (error as Error).message);
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    say(this.#state, "connecting");
    say(this.#connect, "Disconnect");
    socket.onopen = () => this.#opened(true, "connected");
    socket.onmessage = ({ data }) => this.#line("←", typeof data === "string" ? data : payload(new Uint8Array(data as ArrayBuffer), 512));
    socket.onclose = ({ code, reason, wasClean }) => {
      this.#line("", `closed with ${code}${reason ? `: ${reason}` : ""}`);
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#opened(false, wasClean ? `closed with ${code}` : "not connected: the server refused it, or is not there");
    };
  }

  #opened(is: boolean, words: string): void {
    this.#send.disabled = !is;
    say(this.#state, words);
    say(this.#connect, is ? "Disconnect" : "Connect");
  }

  #sendIt(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#message.value === "") return;
    this.#socket.send(this.#message.value);
    this.#line("→", this.#message.value);
    this.#message.value = "";
  }

  #line(arrow: string, words: Child): void {
    const isAtEnd = this.#talk.scrollHeight - this.#talk.scrollTop - this.#talk.clientHeight < 24;
    this.#talk.append(h("li", null, h("time", { class: "third" }, clockMillis(Date.now())), h("span", { "aria-label": arrow === "→" ? "sent" : arrow === "←" ? "received" : null, role: arrow ? "img" : null }, arrow), h("span", null, words)));
    while (this.#talk.children.length > MOST_LINES) this.#talk.firstElementChild?.remove();
    if (isAtEnd) this.#talk.scrollTop = this.#talk.scrollHeight;
  }
}
