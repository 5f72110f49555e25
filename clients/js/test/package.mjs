// That dist/gannet.js is what the sources make, and no larger than promised; that the types are what a program may write; that
// the version is the server's. Installs the tools, as package-lock.json names them, if they are not there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { finish, test } from "../../../tests/counted.mjs";

const MOST_BYTES = 4_096;
const root = new URL("../", import.meta.url);
const read = (name) => readFileSync(new URL(name, root), "utf8");
const run = (...command) => execFileSync(command[0], command.slice(1), { cwd: fileURLToPath(root), encoding: "utf8" });

await test("the tools are there", () => {
  if (existsSync(new URL("node_modules/terser/package.json", root))) return;
  try {
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
  } catch (error) {
    throw new Error(`npm ci has failed: dist/gannet.js cannot be compared with the sources. ${error.message}`);
  }
});

await test("dist/gannet.js is what the sources make: run node build.mjs if it is not", async () => {
  const { bundle } = await import("../build.mjs");
  assert.equal(read("dist/gannet.js"), await bundle());
});

await test(`it has no more than ${MOST_BYTES} bytes, minified and compressed`, () => {
  const bytes = gzipSync(read("dist/gannet.js"), { level: 9 }).length;
  console.log(`  dist/gannet.js: ${read("dist/gannet.js").length} bytes, ${bytes} with gzip -9`);
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
});

await test("it has one export, no dependency and no global of its own", async () => {
  const before = Object.getOwnPropertyNames(globalThis).length;
  assert.deepEqual(Object.keys(await import("../dist/gannet.js")), ["createClient"]);
  assert.equal(Object.getOwnPropertyNames(globalThis).length, before);
  const imports = readdirSync(new URL("src/", root)).flatMap((name) => [...read(`src/${name}`).matchAll(/from "([^"]+)"/g)]);
  assert.deepEqual(imports.filter(([, from]) => !from.startsWith("./")), []);
  assert.equal(JSON.parse(read("package.json")).dependencies, undefined);
});

await test("the types are those that a program may write", () => {
  run("node", "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "test/types.ts");
});

await test("its version and its licence are the server's", () => {
  const cargo = read("../../Cargo.toml").match(/^version = "(.*)"$/m)[1];
  assert.equal(JSON.parse(read("package.json")).version, cargo);
  assert.equal(read("LICENSE"), read("../../LICENSE"));
});

finish();
