// Reads one page, in namespaces that run.mjs has made for it: world.mjs says what they are.
//
//   node tests/docs_run/read.mjs PROGRAM CHECKOUT ROOT PAGE
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startChromium } from "../browser/chromium.mjs";
import { isExcused } from "./accounts.mjs";
import { stepsOf } from "./page.mjs";
import { Reader } from "./reader.mjs";
import { furnish } from "./world.mjs";

/** Pages that show all that their commands print. */
const WHOLE = /tutorial-|cookbook/;

const [program, checkout, root, page] = process.argv.slice(2);
furnish(root, program);
const text = readFileSync(join(checkout, page), "utf8");
const steps = stepsOf(page, text).filter((step) => !isExcused(page, step));
let browser;
const reader = new Reader(page, text, { root, program, checkout, browse: () => (browser ??= startChromium()), showsAll: WHOLE.test(page) });

/** Each section that has something to do is a test. */
async function read() {
  for (const section of new Set(steps.map(({ section }) => section))) {
    for (const step of steps.filter((step) => step.section === section)) {
      await reader.take(step).catch((error) => {
        error.message = `${page}:${step.line}: ${error.message}`;
        throw error;
      });
    }
    console.log(`ok - ${page}: ${section}`);
  }
  reader.finish();
}

try {
  await read();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
await reader.close();
await (await browser)?.close();
process.exit();
