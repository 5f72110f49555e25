// What pages take for granted, by name: servers that run, files that are there. A scene that has servers ends those before it.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { files } from "./checkers.mjs";
export { files };

const BACKEND = `listen = ["127.0.0.1:9001", "unix:/run/gannet/backend.sock"]`;
const PLAIN = `[backend]\n${BACKEND}\n[apps.default.resume]\nlinger_ms = "1m"\n[apps.chess]\n`;
const REMEMBERS = ["g", "chat/"].map((prefix) => `[[apps.default.groups]]\nprefix = "${prefix}"\nlatest = true\nlog = { messages = 20 }\n`).join("");
const SIGNED = `[backend]\n${BACKEND}\n[apps.default]\nsecrets_file = "default.secrets"\n[apps.chess]\nsecrets_file = "secrets"\ntick_ms = 50\n${REMEMBERS}`;
const READY = "  backend[^\\n]+";

async function begin(reader) {
  reader.players.leave();
  await reader.terminals.stopAll();
  // A server that was upgraded is no terminal's any more. Others than this page's there are none.
  await reader.terminals.run("while pid=$(pidof gannet gannet-new gannet-0.1.0); do kill $pid 2> /dev/null || true; sleep 0.05; done");
}

/** Starts a server with this configuration, and waits until it is there. */
async function serve(reader, toml, { name = "server", file = "gannet.toml", flags = "" } = {}) {
  writeFileSync(join(reader.folder, file), toml);
  reader.terminals.open(name, `gannet serve --config ${file} ${flags}`);
  await reader.terminals.shows(name, READY, "the addresses of the ports");
}

/** Addresses of the examples are this machine's. */
async function addresses(reader, ...all) {
  for (const address of all) await reader.terminals.run(`ip addr add ${address}/32 dev lo 2> /dev/null || true`);
}

/** Nothing runs. */
export const nothing = begin;

/** A file with a mistake. */
export async function mistaken(reader) {
  writeFileSync(join(reader.folder, "bad.toml"), `listne = "127.0.0.1:9000"\n`);
}

/** A server as the page began with it: players need no token, and may resume. */
export async function server(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, PLAIN);
}

/** The same without a configuration, and with /echo. */
export async function echo(reader) {
  await begin(reader);
  await serve(reader, `[backend]\n${BACKEND}\n[apps.default.resume]\nlinger_ms = "1m"\n`, { flags: "--echo" });
}

/** One with the defaults, as a soak needs it. */
export async function bare(reader) {
  await begin(reader);
  await serve(reader, `[backend]\n${BACKEND}\n`);
}

/** No server, and the file `gannet.toml` of one. */
export async function configured(reader) {
  await begin(reader);
  await files(reader);
  writeFileSync(join(reader.folder, "gannet.toml"), PLAIN);
}

/** A server whose players show tokens, and the sessions of the examples, before each request and each command. */
export async function game(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, SIGNED);
  await reader.players.play({ isSigned: true });
}

/** The server alone, whose log says why it refuses players. */
export async function signed(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, SIGNED, { flags: "--log debug" });
}

/** A door for each way of showing who a player is: with a token, with a signature at the app `chess`, or, at other ports, without. */
export async function doors(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, SIGNED);
  await serve(reader, `listen = "127.0.0.1:9010"\necho = true\n[backend]\nlisten = "127.0.0.1:9011"\n`, { name: "open", file: "open.toml" });
}

/** The same with players who say who they are. */
export async function crowd(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, `[backend]\n${BACKEND}\n[apps.chess]\n${REMEMBERS}`);
  await reader.players.play({ isSigned: false });
}

/** Servers where the commands' examples have them: on another address with a key, on a Unix socket, with TLS. */
export async function places(reader) {
  await begin(reader);
  await files(reader);
  await addresses(reader, "10.0.0.5");
  await serve(reader, `listen = "127.0.0.1:9010"\n[backend]\nlisten = "10.0.0.5:9001"\nkey_file = "backend.key"\n`, { name: "other", file: "other.toml" });
  await serve(reader, `listen = "127.0.0.1:9020"\n[backend]\nlisten = "unix:/run/gannet/backend.sock"\n`, { name: "server" });
  await secure(reader, "127.0.0.1:9001");
}

/** Beside another server, one with TLS on both ports, at `localhost`. */
async function secure(reader, backend = "[::1]:9001") {
  writeFileSync("/etc/hosts", "::1 localhost\n");
  const toml = `listen = "[::1]:9000"\necho = true\n[backend]\nlisten = "${backend}"\n[tls]\ncert = "cert.pem"\nkey = "key.pem"\nbackend = true\n[apps.default]\nsecrets_file = "secrets"\n`;
  await serve(reader, toml, { name: "tls", file: "tls.toml" });
}

/** A plain server, and one with TLS at `localhost`. */
export async function both(reader) {
  await echo(reader);
  await files(reader);
  await secure(reader);
}

/** One server, with TLS on both ports, whose players need no token. */
export async function tls(reader) {
  await begin(reader);
  await files(reader);
  writeFileSync("/etc/hosts", "127.0.0.1 localhost\n");
  const toml = `echo = true\n[backend]\nlisten = "127.0.0.1:9001"\n[tls]\ncert = "cert.pem"\nkey = "key.pem"\nbackend = true\n`;
  await serve(reader, toml);
}

/** A server that has been upgraded once, with other programs to take. */
export async function upgraded(reader) {
  await server(reader);
  await releases(reader);
  await reader.terminals.run("gannet upgrade");
}

/** Programs beside the one that runs. */
export async function releases(reader) {
  for (const path of ["/usr/local/bin/gannet-new", "/usr/local/bin/gannet-0.1.0", join(reader.folder, "gannet-0.2.0")]) copyFileSync("/usr/local/bin/gannet", path);
}

/** The file of the server has been edited: a bound, and the address of its port. */
export async function edited(reader) {
  await server(reader);
  writeFileSync(join(reader.folder, "gannet.toml"), `listen = "127.0.0.1:9005"\n${PLAIN}[limits]\nmax_page = 200\n`);
}

/** The same, with other secrets. */
export async function editedSecrets(reader) {
  await begin(reader);
  await files(reader);
  await serve(reader, SIGNED);
  await reader.terminals.run("openssl rand -hex 32 > default.secrets");
  writeFileSync(join(reader.folder, "gannet.toml"), `listen = "127.0.0.1:9005"\n${SIGNED}[limits]\nmax_page = 200\n`);
}

/** Two nodes on a Redis, with the names of the examples; the first has the ports that commands ask. */
export async function nodes(reader) {
  await begin(reader);
  await addresses(reader, "10.0.0.5");
  reader.terminals.open("redis", "redis-server --port 6379 --bind 10.0.0.5 --protected-mode no --save '' --appendonly no");
  await reader.terminals.shows("redis", "[^\\n]*Ready to accept connections[^\\n]*", "that it is ready");
  for (const [name, clients, backend] of [["eu-1", 9000, 9001], ["eu-2", 9010, 9011]]) {
    const cluster = `[cluster]\nredis = ["redis://10.0.0.5:6379"]\nname = "${name}"\nadvertise = "wss://${name.replace("-", "")}.game.example"\nlease_ms = 3000\n`;
    await serve(reader, `listen = "127.0.0.1:${clients}"\n[backend]\nlisten = "127.0.0.1:${backend}"\n${cluster}`, { name, file: `${name}.toml` });
  }
  await reader.terminals.run(`for port in 9001 9011; do until curl -s 127.0.0.1:$port/v1/cluster | grep '"lease":"held"' | grep '"name":"eu-1"' | grep -q '"name":"eu-2"'; do sleep 0.05; done; done`);
}

/** Files of a benchmark beside one that the page has made. */
export async function results(reader) {
  await reader.terminals.run("cp a.json b.json");
}

/** Folders that the examples write into. */
export async function folders(reader) {
  for (const folder of ["/etc/bash_completion.d", "/usr/local/share/man/man1", "/usr/local/share/zsh/site-functions", join(reader.terminals.variables.HOME, ".config/fish/completions")]) mkdirSync(folder, { recursive: true });
}

/** A log in a file, in the folder of the page. */
export async function logging(reader) {
  await begin(reader);
  await serve(reader, `[backend]\n${BACKEND}\n[log]\nfile = "gannet.log"\n`);
}

/** The bound of the kernel, as the page says. */
export async function bounds(reader) {
  await begin(reader);
  writeFileSync(join(reader.folder, "bounds.toml"), "[limits]\nsocket_unsent_bytes = 0\n");
}

/** The pages of a folder, as any server of files has them; the client for players is there. */
export async function website(reader) {
  await server(reader);
  await reader.terminals.run("cp ../gannet/clients/js/dist/gannet.js .");
  reader.terminals.open("website", "python3 -m http.server 8080 --bind 127.0.0.1");
  await reader.terminals.shows("website", "Serving HTTP[^\\n]+", "that it serves");
}

/** The key and the secret that the page names, and a server with the file that it shows. */
export async function keyed(reader) {
  await begin(reader);
  await files(reader);
  await reader.terminals.run("cp block.toml gannet.toml");
  reader.terminals.open("server", "gannet serve --config gannet.toml");
  await reader.terminals.shows("server", READY, "the addresses of the ports");
}
