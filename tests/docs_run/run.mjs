// Does what the tutorials and the cookbook say, as a reader would, and fails unless everything happens as the page shows it.
//
//   node tests/docs_run/run.mjs PROGRAM [PAGE…]
//
// PROGRAM is the built `gannet`; without a PAGE it is all of them. page.mjs says how a page names its files, commands and outputs.
// Ports are free ones instead of those in the pages. Nothing is timed: what has to happen is waited for, and five minutes end it all.
import { readFileSync } from "node:fs";
import { startChromium } from "../browser/chromium.mjs";
import { passed, test } from "../browser/tests.mjs";
import { stepsOf } from "./page.mjs";
import { Reader } from "./reader.mjs";

const PAGES = ["docs/tutorial-chat.md", "docs/tutorial-room.md", "docs/tutorial-turns.md", "docs/cookbook.md"];

const [program, ...pages] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tests/docs_run/run.mjs PROGRAM [PAGE…]");
  process.exit(2);
}
const readers = [];
let browser;
const browse = () => (browser ??= startChromium());

async function stop() {
  clearTimeout(ends);
  await Promise.all(readers.map((reader) => reader.close()));
  await (await browser)?.close();
}

async function fail(error) {
  console.error(error);
  await stop();
  process.exit(1);
}

/** Reads a page section by section: each that has something to do is a test. */
async function read(page) {
  const text = readFileSync(page, "utf8");
  const steps = stepsOf(page, text);
  const reader = await Reader.of(text, program, browse);
  readers.push(reader);
  for (const section of new Set(steps.map(({ section }) => section))) {
    await test(`${page}: ${section}`, async () => {
      for (const step of steps.filter((step) => step.section === section)) {
        await reader.take(step).catch((error) => {
          error.message = `${page}:${step.line}: ${error.message}`;
          throw error;
        });
      }
    });
  }
  reader.finish();
}

const ends = setTimeout(() => fail(new Error("it took more than five minutes")), 300_000);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => fail(new Error(signal)));
try {
  await Promise.all((pages.length > 0 ? pages : PAGES).map(read));
} catch (error) {
  await fail(error);
}
await stop();
console.log(`${passed()} passed, 0 failed`);
