// What is done with blocks that are neither commands nor files, by the names in the pages.
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { missing, unanswered } from "./shapes.mjs";
import { sooner } from "./world.mjs";

export class Blocks {
  #reader;

  constructor(reader) {
    this.#reader = reader;
  }

  take(name, text) {
    assert(ALL[name], `nothing is called ${name}`);
    return ALL[name](this.#reader, text);
  }
}

const ALL = {
  acl, dependencies, kept, audit, audited, bounds, commands, completions, connected, doors, figures, frame, joined, logged, missed, moved, node, pasted, published, refused,
  reloads, signed, sse, stream, top, transcript, watched,
};

/** Commands behind `$`, and what they print, errors too. */
async function transcript(reader, text) {
  const commands = text.split("\n").filter((line) => line.startsWith("$ ")).map((line) => line.slice(2));
  const shown = text.split("\n").filter((line) => !line.startsWith("$ ")).join("\n");
  assert.equal(await reader.terminals.run(`set +e\nexec 2>&1\n${commands.join("\n")}`), shown);
}

/** What is typed and shown in `gannet connect`: a line behind `> ` is typed, the others come, of pushes and of a kick. */
async function connected(reader, text) {
  const { terminals } = reader;
  terminals.open("connect", `gannet connect 'ws://127.0.0.1:9000/ws?user=ada&group=red'`);
  let shown = "";
  // A note is for those who can type on: not for a pipe.
  for (const line of text.split("\n").filter((line) => line !== "" && !line.includes("  note "))) {
    if (line.startsWith("> ")) {
      terminals.type("connect", `${line.slice(2)}\n`);
      continue;
    }
    if (line.includes("pushed text")) await terminals.run("gannet push --user ada 'pushed text'");
    if (line.includes("4001 bye")) await terminals.run("gannet kick --user ada --reason bye");
    shown += `${line}\n`;
    await terminals.becomes("connect", (printed) => missing(shown, printed) === undefined, shown);
  }
  await terminals.stop("connect");
}

/** The screen of `gannet top`, in a terminal of this size: its words are there. */
async function top(reader, text) {
  const lines = text.trimEnd().split("\n");
  const wide = Math.max(...lines.map((line) => line.length));
  const words = text.match(/[A-Z][a-z]+(?: [a-z]+)*|per second|push to written|q quit/g);
  await onScreen(reader, "gannet top", wide, lines.length, (screen) => words.every((word) => screen.includes(word)));
}

/**
 * A page of the backend port, into whose console the block is pasted: the player that it makes reads its welcome. It is gone with the page:
 * who looks behind this whether the user is there does not find it.
 */
async function pasted(reader, text) {
  const page = await (await reader.browse()).openPage("http://127.0.0.1:9001/", 400, 300);
  await page.until("the page", `document.readyState === "complete" && /gannet/i.test(document.title)`);
  await page.evaluate(`window.read = []; console.log = (line) => read.push(line); { ${text} }`);
  await page.until("its welcome", `read.some((line) => line.includes('"type":"welcome"'))`);
  const { session } = JSON.parse(await page.evaluate("read[0]"));
  await page.call("Page.close");
  while ((await fetch(`http://127.0.0.1:9001/v1/sessions/${session}`)).status !== 404) await sleep(20);
}

/** Commands that the page tells the answers of: one to a log, one that asks for no receipt, one with a mistake, one to an app with ticks. */
const FURTHER = [`{"id":7,"op":"join","group":"chat/lobby","user":"ada","last":20}`, `{"id":7,"op":"push","to":{"user":"ada"},"text":"hi","receipt":"none"}`, `{"id":7,"op":"join","group":"g","sesion":"00a0000000000001"}`, `{"id":7,"op":"listen","app":"chess","events":["open"]}`];

/** Commands of the link, one a line, or an array of them: each is answered, none of them with an error. */
async function commands(reader, text) {
  const answers = [];
  for (const line of text.trimEnd().split("\n")) {
    await reader.players.settle({ hasLink: !line.includes('"listen"') });
    const { socket, next } = await reader.players.connect(9001, `/v1/link${line.includes("numbers") ? "?resume=new" : ""}`);
    if (line.includes("numbers")) await next();
    socket.send(reader.players.here(line));
    let answer = "";
    for (let left = line.startsWith("[") ? JSON.parse(line).length : 1; left > 0; ) {
      answer = await next();
      if ("event" in JSON.parse(answer)) continue;
      left -= 1;
      assert("ok" in JSON.parse(answer), `${line}: ${answer}`);
    }
    answers.push(answer);
    socket.close();
  }
  const { socket, next } = await reader.players.connect(9001, "/v1/link");
  for (const further of FURTHER) {
    socket.send(further);
    answers.push(await next());
  }
  socket.close();
  return answers;
}

/** A command of the binary link, in hexadecimal above what it means: it is answered under its id. */
async function frame(reader, text) {
  await reader.players.settle();
  const { socket, next } = await reader.players.connect(9001, "/v1/link", ["gannet.link.bin"]);
  socket.binaryType = "arraybuffer";
  const [hex] = text.split("\n");
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  Buffer.from(reader.players.here("00a0000000000001"), "hex").reverse().copy(bytes, bytes.length - 10);
  socket.send(bytes);
  const answer = Buffer.from(await next());
  assert.deepEqual([answer[2], answer.readUInt32LE(4)], [0, 7], `the answer is ${answer.toString("hex")}`);
  socket.close();
}

/** The rights of a user of Redis are enough: what it is created with, and a node that is ready under it. */
async function acl(reader, text) {
  const { terminals } = reader;
  const [line] = text.split("\n");
  terminals.open("acl redis", "redis-server --port 7399 --save '' --appendonly no");
  await terminals.shows("acl redis", "[^\\n]*Ready to accept connections[^\\n]*", "that it is ready");
  assert.equal(await terminals.run(`redis-cli -p 7399 ${line.split(" ").map((word) => `'${word}'`).join(" ")}`), "OK\n");
  reader.write("acl.toml", `listen = "127.0.0.1:9030"\n[backend]\nlisten = "127.0.0.1:9031"\n[cluster]\nredis = ["redis://gannet:PASSWORD@127.0.0.1:7399"]\nname = "acl"\nlease_ms = 3000\n`);
  terminals.open("acl", "gannet serve --config acl.toml");
  await terminals.shows("acl", "  backend[^\\n]+", "the addresses of the ports");
  await terminals.run(`until curl -s 127.0.0.1:9031/v1/cluster | grep -q '"lease":"held"'; do sleep 0.05; done`);
}

/** The formula of a signed query and its request: a query that is signed so is taken. */
async function signed(reader, text) {
  assert.match(text, /^signature = hex\(HMAC-SHA256\(secret, app "\\n" user "\\n" timestamp "\\n" nonce\)\)\nGET \/ws\?app=default&user=ada&timestamp=\d+&nonce=[^&]+&signature=/);
  const secret = reader.read("default.secrets").trim();
  const [timestamp, nonce] = [String(Math.floor(Date.now() / 1000)), randomBytes(12).toString("hex")];
  const signature = createHmac("sha256", secret).update(["default", "ada", timestamp, nonce].join("\n")).digest("hex");
  const { user } = await reader.players.enter([["app", "default"], ["user", "ada"], ["timestamp", timestamp], ["nonce", nonce], ["signature", signature]]);
  assert.equal(user, "ada");
}

/** The figures are asked for until both of what the page looks at were seen, and the client that never reads was closed. */
async function bounds(reader, text) {
  const printed = await reader.terminals.run(sooner(text));
  for (const family of ["gannet_outbox_bytes", "process_resident_memory_bytes"]) assert.match(printed, new RegExp(`^${family}[ {]`, "m"));
}

/** The command is a stream: its first events are those of the page. */
async function stream(reader, text) {
  reader.terminals.open("stream", `${text.trimEnd()} 2> meter`);
  await reader.terminals.becomes("stream", (shown) => /^event: tick\n/m.test(shown), "a tick");
}

/** An event stream of a feed: what a player says comes as the page shows it. */
async function sse(reader, text) {
  await reader.players.settle();
  reader.terminals.open("feed", `curl -sN -H 'Accept: text/event-stream' 'http://127.0.0.1:9001/v1/events?events=message'`);
  await reader.terminals.becomes("feed", (shown) => shown.includes("event: feed"), "the feed");
  await reader.players.say("00a0000000000001", "hi");
  const shown = text.split("\n").filter((line) => line !== ":").join("\n");
  await reader.terminals.becomes("feed", (printed) => missing(shown, printed) === undefined, shown);
  await reader.terminals.stop("feed");
}

/** An event stream, in the terminal of the player, to which the page has something published. */
async function published(reader, text) {
  await reader.terminals.run("curl -sd 'test message' 'http://127.0.0.1:9001/v1/push?group=chat%2Ffoo'");
  await reader.terminals.becomes("ada", (shown) => missing(text, shown) === undefined, text);
}

/** Three ways to reload, each behind another edit: the last two answer, and of the first the count says that it was done. */
async function reloads(reader, text) {
  const [signal, ...asked] = text.trimEnd().split("\n");
  const reload = () => reader.terminals.run("gannet stats --json | tr -d ' \\n' | grep -o '\"reload\":{[^}]*}'");
  const before = await reload();
  await reader.terminals.run(signal);
  while ((await reload()) === before);
  const answers = [];
  for (const [at, command] of asked.entries()) {
    await reader.terminals.run(`openssl rand -hex 32 > default.secrets; sed -i 's/max_page = .*/max_page = ${300 + at}/' gannet.toml`);
    answers.push((await reader.terminals.run(command)).trim());
  }
  return answers;
}

/** The list of the page goes into the files of both nodes, and the second is reloaded as the first is. */
async function moved(reader, text) {
  const line = text.split("\n").find((line) => line.startsWith("redis = "));
  for (const file of ["a.toml", "b.toml"]) reader.write(file, reader.read(file).replace(/^redis = .*$/m, line));
}

/** A player who reads nothing, so that a message for it expires, and one who is not there. */
async function missed(reader, text) {
  const socket = connect(9000, "127.0.0.1");
  await once(socket, "connect");
  socket.write(`GET /ws?user=ada HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`);
  await once(socket, "data");
  socket.pause();
  const shown = text.trim();
  for (let line = shown; line; ) {
    const answer = await fetch("http://127.0.0.1:9001/v1/push?user=ada&user=bob&names=1&receipt=written&ttl_ms=20", { method: "POST", body: "x".repeat(100_000) });
    line = unanswered(shown, [await answer.text()]);
  }
  socket.destroy();
}

/** What the server says of a session that is not there. */
async function refused(reader, text) {
  const answer = await fetch("http://127.0.0.1:9001/v1/sessions/00a0000000000009");
  assert.equal(unanswered(text, [await answer.text()]), undefined);
}

/** The answer to a session that joins a group with a log, and asks for what it has missed. */
async function joined(reader, text) {
  await reader.players.settle();
  await reader.players.ask("POST /v1/groups/chat%2Flobby/members?user=ada&last=20").then((answers) => isOneOf(text, answers));
}

const isOneOf = (text, answers) => assert(unanswered(text, answers) === undefined, `the page shows\n${unanswered(text, answers)}\nlike none of\n${answers.join("\n")}`);

/** The events of the stream that runs, each with its fields. */
async function figures(reader, text) {
  await reader.terminals.becomes("stream", (shown) => missing(text, shown) === undefined, text);
  await reader.terminals.stop("stream");
}

/** What a node of a cluster says of it. */
async function node(reader, text) {
  isOneOf(text, [await (await fetch("http://127.0.0.1:9001/v1/cluster")).text()]);
}

/** The audit trail behind a kick, a ban and a reload that changed something. */
async function audit(reader, text) {
  await reader.players.ask("DELETE /v1/users/ada?code=4001&reason=cheating\nPOST /v1/bans?user=ada&for_ms=600000");
  reader.write("gannet.toml", `${reader.read("gannet.toml")}[limits]\nmax_page = 200\n`);
  await reader.players.ask("POST /v1/admin/reload");
  const answer = await (await fetch("http://127.0.0.1:9001/v1/admin/audit")).text();
  isOneOf(text, [answer, ...JSON.parse(answer).lines.map(({ changes }) => JSON.stringify({ changes }))]);
}

const bare = (line) => line.replace(/\b[0-9a-f]{16}\b|\d+/g, "0");

/** Lines of the audit trail in the log: who asked with which key, and what was done. */
async function audited(reader, text) {
  const { terminals } = reader;
  await terminals.stop("server");
  reader.write("audited.toml", `[backend]\nkey_file = "backend.key"\nkeys = [{ name = "grafana", key_file = "grafana.key", may = ["all"] }]\n[apps.chess]\n`);
  terminals.open("audited", "gannet serve --config audited.toml");
  await terminals.shows("audited", "  backend[^\\n]+", "the addresses of the ports");
  await terminals.run("gannet kick --user eve --key-file grafana.key; curl -sX DELETE -H \"Authorization: Bearer $(cat backend.key)\" 'http://127.0.0.1:9001/v1/groups/match%2F17?app=chess'");
  await terminals.run(sooner("gannet bench push ws://127.0.0.1:9000/ws --via link-bin --key-file backend.key"));
  await terminals.run("curl -sH 'Authorization: Bearer wrong' http://127.0.0.1:9001/v1/count");
  for (const line of text.trimEnd().split("\n")) {
    const said = line.replace(/^key=("[^"]*"|-) remote=\S+ /, (_, key) => `${key} … `).split(" … ");
    await terminals.becomes("audited", (shown) => shown.split("\n").some((logged) => said.every((part) => bare(logged).includes(bare(part)))), line);
  }
}

/** The line that says why a player was refused. */
async function logged(reader, text) {
  await reader.terminals.run("curl -s 'http://127.0.0.1:9000/sse' > refused; gannet connect ws://127.0.0.1:9000/ws < /dev/null 2> refused || true");
  await reader.terminals.becomes("server", (shown) => missing(text, shown) === undefined, text);
}

/** Ways to connect: each is taken, of a server that asks for tokens or of one that does not. */
async function doors(reader, text) {
  const { players } = reader;
  const welcomes = [];
  for (const line of text.trimEnd().split("\n")) {
    const [path, query = ""] = line.replace(/^GET /, "").split("?");
    if (path === "/echo") {
      await reader.terminals.run("echo hello | gannet connect ws://127.0.0.1:9010/echo | grep -q hello");
      continue;
    }
    const isSigned = query.includes("signature=");
    const app = /app=([^&]+)/.exec(query)?.[1];
    const shown = query.startsWith("token=") ? `token=${players.mint("--user", "ada")}` : isSigned ? players.mint("--user", "ada", "--app", app, "--signed-query") : query;
    if (isSigned) assert.deepEqual(new Set(new URLSearchParams(shown).keys()), new Set(new URLSearchParams(query).keys()));
    const { next } = await players.connect(query.startsWith("user=") && !isSigned ? 9010 : 9000, `${path}?${shown}`);
    welcomes.push(await next());
  }
  return welcomes;
}

/** Scripts for shells; the folder of zsh is the first of its path, which is one of its own variables. */
async function completions(reader, text) {
  await reader.terminals.run(`fpath=("" /usr/local/share/zsh/site-functions)\n${text}`);
}

/** Each line is a program of the whole terminal. */
async function watched(reader, text) {
  for (const line of text.trimEnd().split("\n")) await onScreen(reader, line, 120, 40, (screen) => /ready/.test(screen));
}

let screens = 0;

async function onScreen(reader, command, wide, high, isRight) {
  // Each screen has a tmux of its own: one that was told to end still has its socket for a while, and refuses whoever comes.
  const name = `docs-${(screens += 1)}`;
  const run = (rest) => reader.terminals.run(`tmux -L ${name} -f /dev/null ${rest}`);
  await run(`new-session -d -x ${wide} -y ${high} '${command}'`);
  for (let screen = ""; !isRight(screen); ) screen = await run("capture-pane -p");
  await run("kill-server");
}

/** Each line below `[dependencies]` is one that cargo takes, with the checkout as what is published. */
async function dependencies(reader, text) {
  const [head, ...lines] = text.trimEnd().split("\n");
  for (const line of lines) {
    reader.write("Cargo.toml", `[package]\nname = "game"\nversion = "0.1.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n${head}\n${line}\n[patch.crates-io]\ngannet = { path = "../gannet" }\n`);
    reader.write("lib.rs", "");
    await reader.terminals.run("cp ../gannet/Cargo.lock . && cargo tree --quiet --depth 1 | grep -q '└── gannet v'");
  }
}

/** What the log of a group answers. */
async function kept(reader, text) {
  isOneOf(text, await reader.players.ask("GET /v1/groups/chat%2Flobby/log?after=0&limit=100"));
}
