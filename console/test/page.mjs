// That dist/index.html is what the sources make, and no larger than promised; that it asks nobody else for anything, and writes no
// markup. Installs the tools, as package-lock.json names them, if they are not there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { finish, test } from "../../tests/counted.mjs";

const MOST_BYTES = 150_000;
const MOST_GZIPPED = 50_000;
const MOST_LINES = 500;
const root = new URL("../", import.meta.url);
const read = (name) => readFileSync(new URL(name, root), "utf8");
const run = (...command) => execFileSync(command[0], command.slice(1), { cwd: fileURLToPath(root), encoding: "utf8" });
const sources = () => readdirSync(new URL("src/", root), { recursive: true }).filter((name) => /\.(ts|css|html)$/.test(name)).map((name) => `src/${name}`);

await test("the tools are there", () => {
  if (existsSync(new URL("node_modules/axe-core/package.json", root))) return;
  try {
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
  } catch (error) {
    throw new Error(`npm ci has failed: dist/index.html cannot be compared with the sources. ${error.message}`);
  }
});

await test("dist/index.html is what the sources make: run node build.mjs if it is not", async () => {
  const { page } = await import("../build.mjs");
  assert.ok(Buffer.from(await page()).equals(readFileSync(new URL("dist/index.html", root))));
});

await test(`the page has no more than ${MOST_BYTES} bytes, and ${MOST_GZIPPED} with gzip`, () => {
  const page = readFileSync(new URL("dist/index.html", root));
  const gzipped = gzipSync(page, { level: 9 }).length;
  console.log(`  dist/index.html: ${page.length} bytes, ${gzipped} with gzip -9`);
  assert.ok(page.length <= MOST_BYTES && gzipped <= MOST_GZIPPED);
});

await test("the types are right", () => {
  run("node", "node_modules/typescript/bin/tsc", "-p", ".");
});

await test("no source makes markup of text, has a style or a listener as an attribute, or runs text", () => {
  const refused = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|[{ ]style: ["`]|"style"|[< ]style=|\bon[a-z]+="|\beval\(|new Function/;
  for (const name of sources()) assert.doesNotMatch(read(name), refused, name);
});

await test("the page is one script and one style, each without an address, and names no other place", () => {
  const page = read("dist/index.html");
  assert.deepEqual([...page.matchAll(/<(script|style|link|img|iframe|object)\b[^>]*>/g)].map(([tag]) => tag.replace(/href="data:[^"]*"/, "data")), [`<link rel="icon" data>`, "<style>", `<script type="module">`]);
  const addresses = [...page.matchAll(/\b(?:https?|wss?):\/\/[\w.-]+/g)].map(([address]) => address);
  // The namespace of SVG is a name.
  assert.deepEqual([...new Set(addresses)], ["http://www.w3.org"]);
  assert.doesNotMatch(page, /url\(|@import/);
});

await test(`no source has more than ${MOST_LINES} lines`, () => {
  for (const name of sources()) assert.ok(read(name).split("\n").length <= MOST_LINES, name);
});

await test("its version is the server's", () => {
  assert.equal(JSON.parse(read("package.json")).version, read("../Cargo.toml").match(/^version = "(.*)"$/m)[1]);
});

finish();
