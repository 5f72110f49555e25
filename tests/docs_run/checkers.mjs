// What reads the blocks that are no commands: the program itself, systemd, nginx, HAProxy, rustdoc.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const LIBRARY = readFileSync(fileURLToPath(new URL("../../src/lib.rs", import.meta.url)), "utf8");

/** Prints a JWK set. */
const JWKS = `const { publicKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
console.log(JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "2026-2", alg: "ES256", use: "sig" }] }));`;

/** Files that configurations in the documents name, each made once. */
const FILES = `
[ ! -e made ] || exit 0
umask 077
for name in backend grafana chess; do openssl rand -hex 32 > $name.key; done
for name in secrets default.secrets redis.password; do openssl rand -hex 32 > $name; done
gannet cert self-signed --out . --force > made
openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out chess.pem 2> made
node -e '${JWKS}' > keys.json
`;

/** Whatever the configurations of a page name is in its folder. */
export async function files(reader) {
  await reader.terminals.run(FILES);
}

const CHECKERS = { toml, ini, nginx, haproxy, dockerfile, rust };

/** Has a block read by what reads it. */
export async function check(step, reader) {
  const checker = CHECKERS[step.kind];
  assert(checker, "nothing says what this block is: page.mjs has the marks; or account for it in accounts.mjs");
  await checker(step, reader);
}

/** A server would start with it: with the files that it names, and with secrets of the app `default` where others are at the door. */
async function toml({ text }, reader) {
  await files(reader);
  const isPart = (/^listen = .*0\.0\.0\.0/m.test(text) || /public_keys|jwks_url/.test(text)) && !/secrets/.test(text);
  writeFileSync(join(reader.folder, "block.toml"), text + (isPart ? "\n[apps.default]\nsecrets_file = 'secrets'\n" : "") + (/apps = \["chess"\]/.test(text) ? "\n[apps.chess]\n" : ""));
  await reader.terminals.run("gannet config check block.toml");
}

/** A unit goes where its first line says. Those that are there are verified with the service that they are for. */
async function ini({ text }, reader) {
  const [, path] = /^# (\/etc\/\S+)\n/.exec(text) ?? [];
  assert(path, "the first line of a unit says where it goes");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  if (path.endsWith(".service")) await reader.terminals.run(`systemd-analyze verify ${path} ${dirname(path)}/gannet*.socket`);
}

async function nginx({ text }, reader) {
  const config = `daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nserver {\nlisten 127.0.0.1:8090;\n${text}\n}\n}\n`;
  writeFileSync(join(reader.folder, "nginx.conf"), config);
  await reader.terminals.run(`PATH=$PATH:/usr/sbin nginx -t -p . -c "$PWD/nginx.conf"`);
}

async function haproxy({ text }, reader) {
  writeFileSync(join(reader.folder, "haproxy.cfg"), `defaults\n    timeout connect 5s\n${text}`);
  await reader.terminals.run("PATH=$PATH:/usr/sbin haproxy -c -f haproxy.cfg");
}

/** The command of a health check is run as it stands there. */
async function dockerfile({ text }, reader) {
  const [, command] = /^HEALTHCHECK CMD (\[.*\])\n$/.exec(text) ?? [];
  assert(command, "this is no health check");
  await reader.terminals.run(JSON.parse(command).map((word) => `'${word}'`).join(" "));
}

/** Code in Rust is tested by `cargo test --doc`, if the page is included where rustdoc looks. */
function rust(_, { page }) {
  assert(LIBRARY.includes(`#[doc = include_str!("../${page}")]`), `src/lib.rs does not include ${page} for rustdoc`);
}
