// Somebody who does what a page says, in a folder of its own, with a server on ports of its own.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { patternOf, settled } from "./output.mjs";
import { Terminals } from "./terminals.mjs";
import * as tabs from "./tabs.mjs";
import { freePort } from "../ports.mjs";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

/** The ports that pages name. */
const PORTS = ["9000", "9001", "8080", "9100"];
const PORT = new RegExp(`\\b(?:${PORTS.join("|")})\\b`, "g");

/** How the cookbook says that a program is run, by the end of its file's name. */
const LANGUAGES = {
  mjs: (name) => `node ${name}.mjs`,
  py: (name) => `python3 ${name}.py`,
  go: (name) => `go run gannet.go ${name}.go`,
  cs: (name) => `mcs -r:System.Net.Http,System.Runtime.Serialization -out:${name}.exe Gannet.cs ${capital(name)}.cs && mono ${name}.exe`,
};
const fileOf = (language, name) => `${language === "cs" ? capital(name) : name}.${language}`;
const capital = (name) => name[0].toUpperCase() + name.slice(1);

export class Reader {
  #browse;
  #console;
  #files = new Set();
  #last = "";
  #page;
  #players = [];
  #ports;

  /** Reads the text of a page with the built `program`; `browse` is a function that has a browser. */
  static async of(page, program, browse) {
    const ports = new Map();
    for (const port of PORTS) ports.set(port, String(await freePort()));
    return new Reader(page, program, browse, ports);
  }

  constructor(page, program, browse, ports) {
    this.#browse = browse;
    this.#page = page;
    this.#ports = ports;
    this.root = mkdtempSync(join(tmpdir(), "gannet-docs-"));
    this.folder = join(this.root, "work");
    const bin = join(this.root, "bin");
    mkdirSync(this.folder);
    mkdirSync(bin);
    symlinkSync(REPOSITORY, join(this.root, "gannet"));
    symlinkSync(resolve(program), join(bin, "gannet"));
    const listen = (port) => `127.0.0.1:${ports.get(port)}`;
    this.terminals = new Terminals(this.folder, {
      ...process.env,
      PATH: `${bin}:${process.env.PATH}`,
      GANNET_LISTEN: listen("9000"),
      GANNET_BACKEND__LISTEN: listen("9001"),
      // As it is in a terminal, which a pipe is not.
      PYTHONUNBUFFERED: "1",
    });
  }

  /** The text with the ports of this reader. */
  here(text) {
    return text?.replace(PORT, (port) => this.#ports.get(port));
  }

  /** Does one step. */
  async take({ kind, name, text }) {
    const here = this.here(text);
    if (kind === "file") this.#write(name, here);
    else if (kind === "run") this.#last = await this.#run(here);
    else if (kind === "prints") await this.#prints(name, here);
    else if (kind === "terminal") this.terminals.open(name, here);
    else if (kind === "type") this.terminals.type(name, here);
    else if (kind === "enter") this.terminals.type(name, "\n");
    else if (kind === "shows") await this.terminals.shows(name, here);
    else if (kind === "stop") await this.#stop(name);
    else if (kind === "players") this.#players = name.split(" ");
    else if (kind === "console") this.#console = here;
    else if (kind === "runs") await this.#runs(name, here);
    else if (kind === "token") await this.#token(name, here);
    else if (kind === "tabs") await tabs[name](await this.#browse(), (address) => this.here(address));
  }

  #write(name, text) {
    assert(!this.#files.has(name), `the file ${name} is there already`);
    this.#files.add(name);
    writeFileSync(join(this.folder, name), text);
  }

  /** Each language's program of a recipe, which has to be there. */
  #programs(name) {
    return Object.entries(LANGUAGES).map(([language, command]) => {
      assert(this.#files.delete(fileOf(language, name)), `there is no ${fileOf(language, name)}`);
      assert(this.#page.includes(`\`${command("push")}\``), `the page says how to run push: ${command("push")}`);
      return command(name);
    });
  }

  async #run(command) {
    this.finish();
    if (this.#players.length > 0) await this.#arePlayersThere();
    return this.terminals.run(command);
  }

  /** The last command has printed this, and so do the programs of a recipe. */
  async #prints(name, text) {
    prints(this.#last, text);
    this.#last = "";
    for (const command of name ? this.#programs(name) : []) prints(await this.#run(command), text, command);
  }

  /** A program that does not end shows the first line of the text, and the rest once the player has done what it does. */
  async #runs(name, text) {
    const [begins, ...rest] = text.split("\n");
    const page = await (await this.#browse()).openPage(this.here("http://127.0.0.1:9001/"), 400, 300);
    await page.until("the page", `document.readyState === "complete" && /gannet/i.test(document.title)`);
    for (const command of this.#programs(name)) {
      this.terminals.open(command, command);
      await this.terminals.shows(command, begins);
      await page.evaluate(`{ ${this.#console} }`);
      await this.terminals.shows(command, rest.join("\n"));
      await this.terminals.stop(command);
    }
  }

  async #token(name, text) {
    for (const command of this.#programs(name)) {
      prints(await this.terminals.run(`gannet token check "$(${command})" --secret-file default.secrets`), text, command);
    }
  }

  async #stop(name) {
    await this.terminals.stop(name);
    this.#players = this.#players.filter((player) => player !== name);
  }

  /** Waits until the users of the page have a session each, and others none. */
  async #arePlayersThere() {
    const address = this.here("http://127.0.0.1:9001/v1/users");
    for (let users; JSON.stringify(users) !== JSON.stringify(this.#players); await sleep(20)) {
      const answer = await (await fetch(address)).json();
      users = answer.users.flatMap(({ user, sessions }) => Array(sessions).fill(user));
    }
  }

  /** Whatever a command has printed stands in the page. */
  finish() {
    assert.equal(settled(this.#last), "", "the last command prints what the page does not show");
  }

  async close() {
    await this.terminals.stopAll();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** What was printed is what the page shows, all of it. */
function prints(printed, shown, command = "the command") {
  const found = settled(printed);
  assert(new RegExp(`^${patternOf(shown)}$`).test(found), `${command} prints\n${found}\nwhere the page shows\n${shown}`);
}
