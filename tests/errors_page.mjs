// Compares docs/errors.md with the source, both ways: the codes of errors with their statuses, the reasons of refusals, and
// the lines of the log at warn and error.
//
//   node tests/errors_page.mjs
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (name) => readFileSync(join(root, name), "utf8");
const page = read("docs/errors.md");

/** The cells of each row of the tables under a heading, up to the next heading of its rank or above. */
function rows(heading) {
  const [marks] = heading.split(" ");
  const begin = page.indexOf(`\n${heading}\n`);
  if (begin < 0) throw new Error(`docs/errors.md has no heading ${heading}`);
  const rest = page.slice(begin + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${marks.length}} `, "m"));
  const lines = (end < 0 ? rest : rest.slice(0, end)).split("\n");
  const isRow = (line, at) => line.startsWith("| ") && !line.startsWith("| ---") && !lines[at + 1]?.startsWith("| ---");
  return lines.filter(isRow).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const code = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text);

/** What one side has and the other has not. */
function differences(what, inSource, inPage) {
  const [source, shown] = [new Set(inSource), new Set(inPage)];
  return [
    ...[...source].filter((entry) => !shown.has(entry)).map((entry) => `${what}: add to docs/errors.md: ${entry}`),
    ...[...shown].filter((entry) => !source.has(entry)).map((entry) => `${what}: src has no such: ${entry}`),
    ...inPage.filter((entry, at) => inPage.indexOf(entry) !== at).map((entry) => `${what}: twice in docs/errors.md: ${entry}`),
  ];
}

/** `name 400 408 …` of each row of ERRORS. */
function errorRows() {
  const source = read("src/dispatch/error.rs");
  const found = [];
  let further = [];
  for (const [, list, name, status] of source.matchAll(/further: &\[([^\]]*)\]|row\(Code::\w+, "(\w+)", \d+, (\d+)/g)) {
    if (list !== undefined) further = [...list.matchAll(/\((\d+),/g)].map(([, number]) => number);
    else {
      found.push([name, status, ...further].join(" "));
      further = [];
    }
  }
  const variants = source.match(/pub enum ErrorCode \{([^}]*)\}/)[1].match(/^ {4}[A-Z]\w*,$/gm);
  if (variants.length !== found.length) throw new Error(`${variants.length} codes, and ${found.length} rows that could be read`);
  return found;
}

/** The values of a label, as src/metrics names them. */
function reasons(label) {
  const body = read("src/metrics/labels.rs").match(new RegExp(`\\n {4}${label}, "reason" \\{([^}]*)\\}`))[1];
  return [...body.matchAll(/=> "(\w+)"/g)].map(([, value]) => value);
}

/** Where the text of a message stands that is handed on as a value: as the file of the call, the one of its `Display`. */
const ELSEWHERE = {
  "src/core/reload.rs": ["src/admission/capacity.rs", "impl fmt::Display for Shortage"],
  "src/server/shared.rs": ["src/admission/capacity.rs", "impl fmt::Display for Shortage"],
  "src/core/upgrading.rs": ["src/core/upgrades.rs", "impl fmt::Display for UpgradeError"],
};

const LITERAL = /"((?:[^"\\]|\\[^])*)"/;

/** A string of Rust as the log shows it, with … for what differs. */
const shown = (literal) =>
  literal.replace(/\\\n\s*/g, "").replace(/\\"/g, '"').replace(/\{[^}]*\}/g, "…");

/** `warn …` and `error …`: each message of that level in src. */
function messages() {
  const found = [];
  const files = readdirSync(join(root, "src"), { recursive: true }).filter((name) => name.endsWith(".rs"));
  for (const name of files.map((file) => join("src", file)).filter((file) => !/(^|[\/_])tests?(\/|\.rs$)/.test(file))) {
    const source = read(name).split(/^#\[cfg\(test\)\]\nmod /m)[0].replace(/^\s*\/\/.*$/gm, "");
    for (const call of source.matchAll(/\b(warn|error)!\(/g)) {
      let text = shown(source.slice(call.index).match(LITERAL)[1]);
      if (text === "…") {
        if (!ELSEWHERE[name]) throw new Error(`${name}: the text of ${source.slice(call.index, call.index + 30)} is not known`);
        const [file, begin] = ELSEWHERE[name];
        const display = read(file).split(begin)[1].split("write!(")[1];
        text = shown(display.match(LITERAL)[1]);
      }
      found.push(`${call[1]} ${text}`);
    }
  }
  return found;
}

const inPage = rows("## Codes").filter(([name]) => name.startsWith("`")).map(([name, statuses]) => [code(name)[0], ...statuses.split(", ")].join(" "));
const checks = {
  "codes of errors": () => differences("codes", errorRows(), inPage),
  "statuses of bad_request": () =>
    differences(
      "statuses",
      errorRows().find((row) => row.startsWith("bad_request ")).split(" ").slice(1),
      rows("### Statuses of `bad_request`").map(([status]) => status),
    ),
  "refusals on the backend port": () =>
    differences("reasons", reasons("BackendRefusal"), rows("### Refusals on the backend port").flatMap(([cell]) => code(cell))),
  "tokens that are not taken": () =>
    differences("reasons", reasons("AuthFailure"), rows("### Tokens that are not taken").flatMap(([cell]) => code(cell))),
  "lines of the log": () =>
    differences("log", messages(), rows("## Log lines").map(([level, line]) => `${level} ${code(line)[0]}`)),
};

let [passed, failed] = [0, 0];
for (const [name, check] of Object.entries(checks)) {
  const wrong = check();
  console.log(`${wrong.length === 0 ? "ok" : "FAILED"} - ${name}`);
  wrong.forEach((line) => console.log(`    ${line}`));
  if (wrong.length === 0) passed += 1;
  else failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
