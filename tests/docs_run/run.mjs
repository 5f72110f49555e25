// Does what the README and the documents say, as a reader would, and fails unless everything happens as the page shows it. Every block of code
// in them is run, checked by what reads it, or accounted for in accounts.mjs; page.mjs says how a page names its blocks.
//
//   node tests/docs_run/run.mjs PROGRAM [PAGE…]
//
// PROGRAM is the built `gannet`; without a PAGE it is all of them, two side by side, each on a machine of its own (world.mjs): for that
// Linux has to give namespaces, to root or to anybody. Each page is followed in a fresh clone of the checkout.
// Nothing is timed: what has to happen is waited for, and five minutes end it all.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { account } from "./accounts.mjs";
import { stepsOf } from "./page.mjs";
import { alone } from "./world.mjs";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const READ = fileURLToPath(new URL("read.mjs", import.meta.url));
/** Those that take longest come first. */
const LONG = ["docs/cookbook.md", "docs/cli.md", "docs/tutorial-turns.md", "docs/operations.md", "docs/http-api.md"];
const AT_ONCE = 2;

const [program, ...named] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/docs_run/run.mjs PROGRAM [PAGE…]");
  process.exit(2);
}
const all = ["README.md", ...readdirSync(join(CHECKOUT, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];
const pages = new Map(all.map((page) => [page, stepsOf(page, readFileSync(join(CHECKOUT, page), "utf8"))]));
const scratch = mkdtempSync(join(tmpdir(), "gannet-docs-"));
const children = new Set();
let passed = 0;
const failed = [];

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
setTimeout(() => {
  console.error("it took more than ten minutes");
  process.exit(1);
}, 600_000).unref();

/** Has a page read; counts its lines that say `ok`. */
async function read(page) {
  const root = mkdtempSync(join(scratch, "page-"));
  const [unshare, ...rest] = alone([process.execPath, READ, resolve(program), CHECKOUT, root, page]);
  const child = spawn(unshare, rest, { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const ended = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("ok - ")) passed += 1;
    console.log(line);
  }
  const [code] = await ended;
  children.delete(child);
  if (code !== 0) failed.push(page);
}

const wrong = account(pages);
for (const line of wrong) console.error(line);
if (wrong.length === 0) passed += 1;

const rank = (page) => (LONG.indexOf(page) + 1 || LONG.length + 1);
const queue = named.length > 0 ? named : all.filter((page) => pages.get(page).length > 0).sort((a, b) => rank(a) - rank(b));
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let page; (page = queue.shift()); ) await read(page);
}));
for (const page of failed) console.log(`failed: ${page}`);
console.log(`${passed} passed, ${failed.length + wrong.length} failed`);
process.exit(failed.length + wrong.length === 0 ? 0 : 1);
