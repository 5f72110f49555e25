// What the tests in browsers start: a server, browsers, and a page from elsewhere. All of it is ended, whatever happens.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { startChromium } from "./chromium.mjs";
import { passed } from "./tests.mjs";

/**
 * Runs the tests in `body` with the program that the command line names, and says how many have passed. Five minutes end it all.
 * The page from elsewhere has the title `title`: a page such as about:blank may not reach the local network.
 */
export async function inBrowsers(title, body) {
  const [script, program] = process.argv.slice(1);
  if (!program) {
    console.error(`usage: node tests/browser/${basename(script)} PROGRAM`);
    process.exit(2);
  }
  const world = new World(program, title);
  const ends = setTimeout(() => fail(new Error("it took more than five minutes")), 300_000);
  const stop = async () => {
    clearTimeout(ends);
    await world.stop();
  };
  const fail = async (error) => {
    console.error(error);
    await stop();
    process.exit(1);
  };
  try {
    await world.listen();
    await body(world);
  } catch (error) {
    await fail(error);
  }
  await stop();
  console.log(`${passed()} passed, 0 failed`);
}

class World {
  #browsers = [];
  #pages;
  #server;

  constructor(program, title) {
    this.program = program;
    /** For files; removed at the end. */
    this.directory = mkdtempSync(join(tmpdir(), "gannet-browser-"));
    this.#pages = createServer((_, response) => response.end(`<!doctype html><title>${title}</title>`));
  }

  async listen() {
    this.#pages.listen(0, "127.0.0.1");
    await once(this.#pages, "listening");
  }

  /** Starts the server on free ports: `clients` and `backend` are the addresses of its banner. */
  async serve(flags = []) {
    const ports = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"];
    this.#server = spawn(this.program, ["serve", ...ports, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
    const failed = once(this.#server, "error").then(([error]) => { throw error; });
    const addresses = {};
    const banner = async () => {
      for await (const line of createInterface({ input: this.#server.stdout })) {
        addresses.clients ??= line.match(/wss?:\/\/[\d.]+:\d+/)?.[0];
        addresses.backend ??= line.match(/http:\/\/[\d.]+:\d+/)?.[0];
        if (addresses.clients && addresses.backend) return addresses;
      }
      throw new Error("the server ended");
    };
    return Promise.race([banner(), failed]);
  }

  /** Starts a browser. */
  async browse(flags = []) {
    const browser = await startChromium(flags);
    this.#browsers.push(browser);
    return browser;
  }

  /** Opens the page from elsewhere in a browser. */
  openPage(browser) {
    return browser.openPage(`http://127.0.0.1:${this.#pages.address().port}/`, 400, 300);
  }

  async stop() {
    for (const browser of this.#browsers) await browser.close();
    this.#pages.close();
    this.#pages.closeAllConnections();
    if (this.#server && this.#server.exitCode === null) {
      const ended = once(this.#server, "exit");
      this.#server.kill();
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
