// Runs the tests of test/pure with Node's test runner, and says how many there were.
import { readdirSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const place = new URL("pure/", import.meta.url);
const counts = { passed: 0, failed: 0 };
const isTest = ({ details, name }) => details.type !== "suite" && !name.endsWith(".mjs");
const stream = run({ files: readdirSync(place).map((name) => fileURLToPath(new URL(name, place))) })
  .on("test:pass", (event) => (counts.passed += isTest(event)))
  .on("test:fail", () => (counts.failed += 1));
stream.compose(new spec()).pipe(process.stdout);
stream.on("end", () => {
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
  setImmediate(() => console.log(`${counts.passed} passed, ${counts.failed} failed`));
});
