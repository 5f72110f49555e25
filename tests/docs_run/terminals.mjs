// The terminals of a page: commands in a folder, what they show, what is typed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { settled } from "./output.mjs";

const PATIENCE_MS = 60_000;
/** A command that is run to its end. */
const RUN_MS = 120_000;

export class Terminals {
  #all = new Map();
  #options;

  /** Commands run in `folder`, with these variables. */
  constructor(folder, env) {
    this.#options = { cwd: folder, env, detached: true };
  }

  get folder() {
    return this.#options.cwd;
  }

  set folder(folder) {
    this.#options.cwd = folder;
  }

  get variables() {
    return this.#options.env;
  }

  /** Runs a command to its end; what it prints. It has to succeed, or, if it `fails`, to fail: what it says then is printed too. */
  async run(command, { fails = false } = {}) {
    const child = spawn("bash", [fails ? "-c" : "-ec", command], { ...this.#options, stdio: ["ignore", "pipe", "pipe"] });
    this.#all.set(child, { child });
    let [printed, errors] = ["", ""];
    child.stdout.on("data", (data) => (printed += data));
    child.stderr.on("data", (data) => (errors += data));
    const late = setTimeout(() => {
      errors += `it was not over in ${RUN_MS / 1000} s`;
      void end(child, "SIGKILL");
    }, RUN_MS);
    const [code] = await once(child, "close");
    clearTimeout(late);
    this.#all.delete(child);
    if ((code !== 0) !== fails) throw new Error(`${command}\nended with ${code}: ${printed}${errors}`);
    return fails ? errors + printed : printed;
  }

  /** Starts a command that goes on running. */
  open(name, command) {
    if (this.#all.has(name)) throw new Error(`the terminal ${name} is taken`);
    const child = spawn("bash", ["-c", command], { ...this.#options, stdio: ["pipe", "pipe", "pipe"] });
    const terminal = { child, shown: "", seen: 0, heard: () => {} };
    const take = (data) => {
      terminal.shown += data;
      terminal.heard();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.stdin.on("error", () => {});
    child.on("close", () => terminal.heard());
    this.#all.set(name, terminal);
  }

  type(name, text) {
    this.#named(name).child.stdin.write(text);
  }

  /** Waits until a terminal shows `text`, whose pattern of settled text this is, behind what was waited for before. */
  async shows(name, shape, text) {
    const terminal = this.#named(name);
    const pattern = new RegExp(`(?:^|\\n)${shape}(?=\\n|$)`);
    const start = terminal.seen;
    await this.becomes(name, () => pattern.test(settled(terminal.shown.slice(start))), text);
    this.#pass(terminal, pattern);
  }

  /** Waits until what a terminal shows fulfils a condition. */
  async becomes(name, isRight, text) {
    const terminal = this.#named(name);
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      terminal.heard();
    }, PATIENCE_MS);
    while (!isRight(terminal.shown)) {
      if (isLate || hasEnded(terminal.child)) throw new Error(`${name} does not show\n${text}\nbut\n${terminal.shown.slice(terminal.seen)}`);
      await new Promise((resolve) => (terminal.heard = resolve));
    }
    clearTimeout(deadline);
  }

  /** What was found is behind: the shortest beginning that has it. */
  #pass(terminal, pattern) {
    const start = terminal.seen;
    do {
      const next = terminal.shown.indexOf("\n", terminal.seen);
      terminal.seen = next < 0 ? terminal.shown.length : next + 1;
    } while (!pattern.test(settled(terminal.shown.slice(start, terminal.seen))));
  }

  /** Ctrl-C. Waits for the end of the command. */
  async stop(name) {
    const { child } = this.#named(name);
    this.#all.delete(name);
    await end(child, "SIGINT");
  }

  async stopAll() {
    const ends = [...this.#all.values()].map(({ child }) => end(child, "SIGTERM"));
    this.#all.clear();
    await Promise.all(ends);
  }

  #named(name) {
    const terminal = this.#all.get(name);
    if (!terminal) throw new Error(`there is no terminal ${name}`);
    return terminal;
  }
}

/** Ends a command and what it has started. */
async function end(child, signal) {
  if (hasEnded(child)) return;
  const ended = once(child, "close");
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
  await ended;
}

const hasEnded = (child) => child.exitCode !== null || child.signalCode !== null;
