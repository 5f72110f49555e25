// What the tests of the page need: a server with keys that can be started again on its ports, players, and a page that is watched.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../tests/ports.mjs";

export const KEYS = { ops: "ops-key-0123456789abcdef", reader: "reader-key-0123456789abc", pusher: "pusher-key-0123456789abc", chess: "chess-key-0123456789abcd" };

/** A server with a configuration, on ports of its own. */
export class Server {
  #program;
  #config;
  #child = null;

  constructor(program, directory) {
    [this.#program, this.#config] = [program, join(directory, "gannet.toml")];
  }

  async start(more = "") {
    this.clients ??= `127.0.0.1:${await freePort()}`;
    this.backend ??= `127.0.0.1:${await freePort()}`;
    this.configure(more);
    await this.again();
  }

  configure(more) {
    const keys = Object.entries({ ops: `may = ["all"]`, reader: `may = ["read"]`, pusher: `may = ["push"]`, chess: `may = ["all"], apps = ["chess"]` });
    const lines = keys.map(([name, may]) => `  { name = "${name}", key = "${KEYS[name]}", ${may} },`);
    writeFileSync(this.#config, `listen = "${this.clients}"\nreactors = 2\n[log]\nlevel = "error"\n[backend]\nlisten = "${this.backend}"\nkeys = [\n${lines.join("\n")}\n]\n[apps.default]\n[apps.chess]\n${more}\n`);
  }

  /** Starts it on the same ports. */
  async again() {
    this.#child = spawn(this.#program, ["serve", "--config", this.#config], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: this.#child.stdout })) if (line.includes(this.backend)) return;
    throw new Error("the server ended");
  }

  /** Ends it at once, as a machine that dies does. */
  async kill() {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  async ask(method, path, body) {
    const response = await fetch(`http://${this.backend}${path}`, { method, body, headers: { Authorization: `Bearer ${KEYS.ops}` } });
    return response.json();
  }
}

/** A player who reads, or, with `reads: false`, whose socket takes nothing. */
export async function enterGame(server, query, { app = "", reads = true } = {}) {
  const [host, port] = server.clients.split(":");
  const socket = connect({ host, port, noDelay: true });
  await once(socket, "connect");
  socket.write(`GET /ws${app && `/${app}`}?${new URLSearchParams(query)} HTTP/1.1\r\nHost: ${server.clients}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
  let text = "";
  while (!/"session":"([0-9a-f]{16})"/.test(text)) text += (await once(socket, "data"))[0].toString("latin1");
  socket.on("error", () => {});
  if (reads) socket.resume();
  else socket.pause();
  // A short text frame, masked with zeros.
  const say = (words) => socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | words.length, 0, 0, 0, 0]), Buffer.from(words)]));
  return { say, session: /"session":"([0-9a-f]{16})"/.exec(text)[1], end: () => socket.destroy() };
}

/** Opens the page and notes what it asks for, and what is refused or thrown. */
export async function openConsole(browser, server, { width = 1280, height = 900, hash = "", dark = false } = {}) {
  const page = await browser.openPage("about:blank", width, height);
  page.requests = [];
  page.troubles = [];
  page.on("Network.requestWillBeSent", ({ request }) => page.requests.push(request.url));
  page.on("Network.webSocketCreated", ({ url }) => page.requests.push(url));
  page.on("Runtime.exceptionThrown", ({ exceptionDetails }) => page.troubles.push(exceptionDetails.exception?.description ?? exceptionDetails.text));
  page.on("Log.entryAdded", ({ entry }) => entry.source !== "network" && page.troubles.push(entry.text));
  for (const domain of ["Page", "Network", "Runtime", "Log"]) await page.call(`${domain}.enable`);
  await page.call("Page.addScriptToEvaluateOnNewDocument", { source: WATCH });
  await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  await page.call("Page.navigate", { url: `http://${server.backend}/${hash}` });
  await page.until("the page", `document.querySelector("#key, .shell")`);
  return page;
}

const WATCH = `
  window.violations = [];
  addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => violations.push(violatedDirective + " " + blockedURI));
  window.ticks = [];
  new PerformanceObserver((list) => { for (const { name, duration } of list.getEntries()) if (name === "tick") ticks.push(duration); }).observe({ entryTypes: ["measure"] });
`;

/** Enters a key at the gate. */
export async function enter(page, key) {
  await page.until("the field for the key", `document.querySelector("#key")`);
  await page.evaluate(`document.querySelector("#key").focus(); document.querySelector("#key").select()`);
  await page.call("Input.insertText", { text: key });
  await press(page, "Enter");
}

/** A key with what it types, to whatever has the focus. */
export async function press(page, key) {
  const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
  const virtual = { Enter: 13, Escape: 27, Tab: 9 }[key];
  await page.call("Input.dispatchKeyEvent", { type: "keyDown", key, text, windowsVirtualKeyCode: virtual, nativeVirtualKeyCode: virtual });
  await page.call("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: virtual, nativeVirtualKeyCode: virtual });
}

/** Clicks the middle of the first element that a selector names, or of one with exactly these words. */
export async function click(page, selector, words = null) {
  const find = `[...document.querySelectorAll(${JSON.stringify(selector)})].find((element) => element.offsetParent !== null && (${words === null} || element.textContent.trim() === ${JSON.stringify(words)}))`;
  await page.until(`${selector} ${words ?? ""}`, find, 15_000);
  const place = await page.evaluate(`(() => { const element = ${find}; element.scrollIntoView({ block: "center" }); const { x, y, width, height } = element.getBoundingClientRect(); return [x + width / 2, y + height / 2]; })()`);
  await page.click(...place);
}

/** Writes into the field with this label. */
export async function write(page, label, text) {
  const find = `[...document.querySelectorAll("label")].find((label) => label.offsetParent !== null && label.textContent.startsWith(${JSON.stringify(label)}))?.querySelector("input, textarea, select")`;
  await page.until(`the field ${label}`, find, 15_000);
  await page.evaluate(`(() => { const field = ${find}; field.scrollIntoView({ block: "center" }); field.focus(); field.select?.(); })()`);
  await page.call("Input.insertText", { text });
}

/** Goes to a screen and waits until it is there. */
export async function go(page, hash, heading) {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
  await shows(page, "h1", heading);
}

export const shows = (page, selector, words) => page.until(`${words} in ${selector}`, `[...document.querySelectorAll(${JSON.stringify(selector)})].some((element) => element.textContent.includes(${JSON.stringify(words)}))`, 20_000);

export const text = (page, selector) => page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? null`);
