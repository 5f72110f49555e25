// The operations of the link as methods, made of docs/openapi.json: src/operations.js and a part of index.d.ts here, and
// ../link-py/gannet_link/operations.py.
//
//   node generate.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("./", import.meta.url);
const { schemas } = JSON.parse(readFileSync(new URL("../../docs/openapi.json", root), "utf8")).components;
/** A push and a listen have methods that are written by hand: `push` and `events`. */
const BY_HAND = ["push", "listen"];
/** What a reply is. What is not here is done with how many sessions. */
const REPLIES = {
  session: "Record<string, unknown>", renew: "{ expires_unix_ms: number }", latest: "Kept", read_log: "Kept", forget: "{ forgotten: number }",
  presence: "Record<string, unknown>", unban: "{ unbanned: number }", bans: "Record<string, unknown>", list: "Record<string, unknown>",
  count: "{ sessions: number; users: number; anonymous: number }", users: "Record<string, unknown>", groups: "Record<string, unknown>",
  apps: "Record<string, unknown>", stats: "Record<string, number>", join: "Changed & { epoch?: string | null; offset?: number; complete?: boolean }",
};

/** The operations in the order of docs/openapi.json: of each its name, its text, its fields and which it must have. */
export const operations = Object.values(schemas).filter(({ properties }) => properties?.op?.const).map((schema) => {
  const { op, id, app, scope, ...fields } = schema.properties;
  return { op: op.const, about: schema.description, fields, required: schema.required.filter((name) => name !== "op"), choices: schema.oneOf };
});
const generated = operations.filter(({ op }) => !BY_HAND.includes(op));
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

function typeOf(schema) {
  if (schema.$ref) return { SessionId: "string", Name: "string", Epoch: "string", CloseCode: "number" }[schema.$ref.split("/").pop()] ?? "unknown";
  if (schema.oneOf) return [...new Set(schema.oneOf.map(typeOf))].join(" | ");
  if (schema.enum) return schema.enum.filter((value) => value !== "").map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  return { integer: "number", string: "string", boolean: "boolean" }[schema.type] ?? "unknown";
}

const table = () => `// Made of docs/openapi.json by ../generate.mjs: the operations that are methods with one object of their fields.
export const OPERATIONS = [
${generated.map(({ op }) => `  ${JSON.stringify(op)},\n`).join("")}];
`;

const types = () => generated.map(({ op, about, fields, required }) => {
  const one = (name) => `${camel(name)}${required.includes(name) ? "" : "?"}: ${typeOf(fields[name])}`;
  const optional = required.length === 0 ? "?" : "";
  return `  /** ${about} */\n  ${camel(op)}(fields${optional}: { ${[...Object.keys(fields).map(one), ""].join("; ")}} & Common): Promise<${REPLIES[op] ?? "Changed"}>;\n`.replace("{ } & ", "");
}).join("");

const python = () => `"""The operations as methods. Made of docs/openapi.json by ../../link-js/generate.mjs."""


class Operations:
    """Each returns a future of the reply: docs/link.md describes them."""
${generated.map(({ op, about, fields, required }) => {
  const optional = [...Object.keys(fields).filter((name) => !required.includes(name)), "app", "scope"];
  const object = (names) => `{${names.map((name) => `"${name}": ${name}`).join(", ")}}`;
  return `
    def ${op}(self, ${required.map((name) => `${name}, `).join("")}*, ${optional.map((name) => `${name}=None`).join(", ")}):
        """${about}"""
        return self._ask("${op}", ${object(required)}, ${object(optional)})
`;
}).join("")}`;

/** The text with what stands between the marks replaced. */
function between(text, part) {
  const [begin, end] = ["// made of docs/openapi.json by generate.mjs\n", "// end of what is made\n"];
  const [start, stop] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  if (start < begin.length || stop < 0) throw new Error(`the marks ${begin} and ${end} are missing`);
  const indent = text.slice(text.lastIndexOf("\n", stop) + 1, stop);
  return text.slice(0, start) + part + indent + text.slice(stop);
}

const read = (name) => readFileSync(new URL(name, root), "utf8");
/** What each file is to be. */
export const files = () => ({
  "src/operations.js": table(),
  "index.d.ts": between(read("index.d.ts"), types()),
  "../link-py/gannet_link/operations.py": python(),
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(files())) writeFileSync(new URL(name, root), text);
}
