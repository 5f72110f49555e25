// Somebody who does what a page says, on a machine of its own (world.mjs), in a folder beside a fresh clone of the checkout.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Blocks } from "./blocks.mjs";
import { check } from "./checkers.mjs";
import { patternOf, settled } from "./output.mjs";
import { Players } from "./players.mjs";
import * as scenes from "./scenes.mjs";
import { missing, unanswered } from "./shapes.mjs";
import * as tabs from "./tabs.mjs";
import { Terminals } from "./terminals.mjs";
import { clone, sooner, variables } from "./world.mjs";

/** How the cookbook says that a program is run, by the end of its file's name. */
const LANGUAGES = {
  mjs: (name) => `node ${name}.mjs`,
  py: (name) => `python3 ${name}.py`,
  go: (name) => `go run gannet.go ${name}.go`,
  cs: (name) => `mcs -r:System.Net.Http,System.Runtime.Serialization -out:${name}.exe Gannet.cs ${capital(name)}.cs && mono ${name}.exe`,
};
/** Commands that do not end by themselves. */
const GOES_ON = /^(?:GANNET_TOKEN=\S+.*)?(?:gannet (?:serve|connect --wait|record \S+ --follow)|redis-server|npx wscat|node |curl -N)|gannet connect wss:/;
const fileOf = (language, name) => `${language === "cs" ? capital(name) : name}.${language}`;
const capital = (name) => name[0].toUpperCase() + name.slice(1);

export class Reader {
  #again;
  #answers = [];
  #browse;
  #console;
  #files = new Set();
  #last = "";
  #page;
  #players = [];
  #showsAll;

  /**
   * Reads a page with this text, below `root`, with the built `program` of `checkout`; `browse` is a function that has a browser. If the page
   * `showsAll`, its commands print nothing that it does not show.
   */
  constructor(page, text, { root, program, checkout, browse, showsAll }) {
    this.#browse = browse;
    this.#page = text;
    this.page = page;
    this.#showsAll = showsAll;
    this.root = root;
    this.program = program;
    clone(checkout, join(root, "gannet"), program);
    const folder = join(root, "work");
    mkdirSync(folder);
    this.terminals = new Terminals(folder, variables(root, program));
    this.players = new Players(this);
    this.blocks = new Blocks(this);
  }

  browse() {
    return this.#browse();
  }

  get folder() {
    return this.terminals.folder;
  }

  /** Does one step. */
  async take(step) {
    const { kind, name, text } = step;
    if (kind === "file") this.write(name, text);
    else if (kind === "run") this.#last = await this.#run(text);
    else if (kind === "prints") await this.#prints(name, text);
    else if (kind === "like") await this.#like(name, text);
    else if (kind === "fails") this.#last = await this.terminals.run(text, { fails: true });
    else if (kind === "terminal") await this.#open(name, text);
    else if (kind === "terminals") await this.#openEach(text);
    else if (kind === "in turn") await this.#inTurn(text);
    else if (kind === "type") this.terminals.type(name, text);
    else if (kind === "enter") this.terminals.type(name, "\n");
    else if (kind === "shows") await this.terminals.shows(name, patternOf(text), text);
    else if (kind === "stop") await this.#stop(name);
    else if (kind === "players") this.#players = name.split(" ");
    else if (kind === "console") this.#console = text;
    else if (kind === "runs") await this.#runs(name, text);
    else if (kind === "token") await this.#token(name, text);
    else if (kind === "tabs") await tabs[name](await this.#browse());
    else if (kind === "scene") await this.#scene(name);
    else if (kind === "in") this.terminals.folder = join(this.root, name);
    else if (kind === "requests") this.#answers = await this.players.ask(text);
    else if (kind === "do") this.#answers = (await this.blocks.take(name, text)) ?? [];
    else await check(step, this);
  }

  write(name, text) {
    assert(this.#showsAll === false || !this.#files.has(name), `the file ${name} is there already`);
    this.#files.add(name);
    writeFileSync(join(this.folder, name), text);
  }

  read(name) {
    return readFileSync(join(this.folder, name), "utf8");
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
    this.#answers = [];
    this.#again = undefined;
    if (this.#players.length > 0) await this.#arePlayersThere();
    if (this.players.arePlaying) await this.players.settle();
    return this.terminals.run(sooner(this.players.here(command)));
  }

  /** A command that goes on running. Nobody asks a server before it has said where it is, or pushes to a player who is not there. */
  async #open(name, command) {
    this.terminals.open(name, sooner(command));
    if (/^curl -N/.test(command)) await this.terminals.becomes(name, (shown) => shown !== "", "anything");
    if (/^gannet serve/.test(command)) await this.terminals.becomes(name, (shown) => /^  backend/m.test(shown), "its addresses");
  }

  /** Each line is a command; those that go on running are in terminals of their own. The next begins when one has shown something. */
  async #openEach(text) {
    let printed = "";
    this.#again = undefined;
    for (const command of linesOf(text)) {
      if (GOES_ON.test(command)) {
        await this.#open(command, command);
        await this.terminals.shows(command, "[^\\n]+", "anything");
      } else {
        printed += await this.#run(command);
        this.#again = command;
      }
    }
    this.#last = printed;
  }

  async #inTurn(text) {
    for (const command of linesOf(text)) {
      await this.#openEach(command);
      if (GOES_ON.test(command)) await this.terminals.stop(command);
    }
  }

  /** The last command has printed this, and so do the programs of a recipe. */
  async #prints(name, text) {
    if (this.#answers.length > 0) return this.#like(name, text);
    if (this.#showsAll) prints(this.#last, text);
    else hasPrinted(this.#last, text);
    if (this.#showsAll) this.#last = "";
    for (const command of name ? this.#programs(name) : []) prints(await this.#run(command), text, command);
  }

  async #like(name, text) {
    if (name) return this.terminals.becomes(name, (shown) => missing(text, shown) === undefined, text);
    // Servers beside each other take their time: who looks too early looks again.
    while (this.#again && missing(text, this.#last) !== undefined) this.#last += await this.terminals.run(this.#again);
    const [line, printed] = this.#answers.length > 0 ? [unanswered(text, this.#answers), this.#answers.join("\n")] : [missing(text, this.#last), this.#last];
    assert(line === undefined, `the page shows\n${line}\nlike none of\n${printed}`);
  }

  /** A program that does not end shows the first line of the text, and the rest once the player has done what it does. */
  async #runs(name, text) {
    const [begins, ...rest] = text.split("\n");
    const page = await (await this.#browse()).openPage("http://127.0.0.1:9001/", 400, 300);
    await page.until("the page", `document.readyState === "complete" && /gannet/i.test(document.title)`);
    for (const command of this.#programs(name)) {
      this.terminals.open(command, command);
      await this.terminals.shows(command, patternOf(begins), begins);
      await page.evaluate(`{ ${this.#console} }`);
      await this.terminals.shows(command, patternOf(rest.join("\n")), text);
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

  async #scene(name) {
    this.finish();
    assert(scenes[name], `there is no scene ${name}`);
    await scenes[name](this);
  }

  /** Waits until the users of the page have a session each, and others none. */
  async #arePlayersThere() {
    for (let users; JSON.stringify(users) !== JSON.stringify(this.#players); await sleep(20)) {
      const answer = await (await fetch("http://127.0.0.1:9001/v1/users")).json();
      users = answer.users.flatMap(({ user, sessions }) => Array(sessions).fill(user));
    }
  }

  /** Whatever a command has printed stands in the page, if that shows all. */
  finish() {
    if (this.#showsAll) assert.equal(settled(this.#last), "", "the last command prints what the page does not show");
  }

  async close() {
    this.players.close();
    await this.terminals.stopAll();
  }
}

/** The commands of a block, one a line. */
const linesOf = (text) => text.replace(/\\\n\s*/g, " ").split("\n").filter((line) => line !== "");

/** What was printed is what the page shows, all of it. */
function prints(printed, shown, command = "the command") {
  const found = settled(printed);
  assert(new RegExp(`^${patternOf(shown)}$`).test(found), `${command} prints\n${found}\nwhere the page shows\n${shown}`);
}

/** What the page shows is a part of what was printed: whole lines, one behind the other. */
function hasPrinted(printed, shown) {
  const found = settled(printed);
  const pattern = patternOf(shown).split("\n").map((line) => `${line}\n`).join("(?:[^\\n]*\\n)*?");
  assert(new RegExp(`(?:^|\\n)${pattern}`).test(`${found}\n`), `the command prints\n${found}\nwhere the page shows\n${shown}`);
}
