// That the methods of both clients of the link are the server's operations, and their fields the server's; that the types are what
// a program may write; that versions and licences are the server's, and that nothing is needed. Installs TypeScript, as
// ../../js/package-lock.json names it, if it is not there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { files, operations } from "../generate.mjs";
import { Link } from "../src/link.js";
import { finish, test } from "../../../tests/counted.mjs";

const root = new URL("../", import.meta.url);
const read = (name) => readFileSync(new URL(name, root), "utf8");
const run = (folder, ...command) => execFileSync(command[0], command.slice(1), { cwd: fileURLToPath(new URL(folder, root)), encoding: "utf8" });

for (const [name, text] of Object.entries(files())) {
  await test(`${name} has the operations of docs/openapi.json: run node generate.mjs if it has not`, () => assert.equal(read(name), text));
}

await test("docs/link.md has the same operations, and each is a method in both languages; events() is listen", () => {
  const table = read("../../docs/link.md").match(/<!-- fields: made of src\/ops -->([^]*)<!-- end of fields -->/)[1];
  const listed = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, op]) => op).sort();
  assert.deepEqual(operations.map(({ op }) => op).sort(), listed);
  const methods = listed.map((op) => (op === "listen" ? "events" : op));
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  assert.deepEqual(methods.filter((op) => typeof Link.prototype[camel(op)] !== "function"), []);
  const python = run("../link-py", "python3", "-c", "import gannet_link; print(*dir(gannet_link.Link))").trim().split(" ");
  assert.deepEqual(methods.filter((op) => !python.includes(op)), []);
});

await test("the types are those that a program may write", () => {
  if (!existsSync(new URL("../js/node_modules/typescript/package.json", root))) run("../js", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
  run(".", "node", "../js/node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext", "test/types.ts");
});

await test("they need nothing but what Node and Python have", () => {
  const js = readdirSync(new URL("src/", root)).flatMap((name) => [...read(`src/${name}`).matchAll(/from "([^"]+)"/g)].map(([, from]) => from));
  assert.deepEqual(js.filter((from) => !/^(node:|\.\/)/.test(from)), []);
  assert.equal(JSON.parse(read("package.json")).dependencies, undefined);
  assert.match(read("../link-py/pyproject.toml"), /^dependencies = \[\]$/m);
  const python = "import ast, sys, pathlib\n"
    + "for path in pathlib.Path('gannet_link').glob('*.py'):\n"
    + "    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):\n"
    + "        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else [one.name for one in node.names] if isinstance(node, ast.Import) else []\n"
    + "        print(*[name for name in names if name.split('.')[0] not in sys.stdlib_module_names], end='')\n";
  assert.equal(run("../link-py", "python3", "-c", python), "");
});

await test("versions and licences are the server's", () => {
  const cargo = read("../../Cargo.toml").match(/^version = "(.*)"$/m)[1];
  assert.equal(JSON.parse(read("package.json")).version, cargo);
  assert.equal(read("../link-py/pyproject.toml").match(/^version = "(.*)"$/m)[1], cargo);
  for (const name of ["LICENSE", "../link-py/LICENSE"]) assert.equal(read(name), read("../../LICENSE"));
});

finish();
