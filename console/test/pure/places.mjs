// Addresses of screens, keys, what a search asks, what ends a stream's event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../load.mjs";

const { href, parseRoute } = await load("route.ts");
const { press, CHORD_MS, PLACES } = await load("keyboard.ts");
const { questions, leadsTo, sorted } = await load("search.ts");
const { EventReader, backOff } = await load("sse.ts");
const { flat } = await load("screens/configuration.ts");
const { targetField, didWhat, whatChanged } = await load("changes.ts");

test("an address is read as it was written, whatever the names are", () => {
  for (const name of ["match/eu-7", "a?b=c", "#", "100%", "<img src=x onerror=alert(1)>", "Ελένη", ".."]) {
    assert.deepEqual(parseRoute(href("group", ["chess", name])), { screen: "group", of: ["chess", name], query: {} });
  }
  assert.deepEqual(parseRoute(href("sessions", [], { app: "a", by: "tag", name: "x&y", behind: null })), { screen: "sessions", of: [], query: { app: "a", by: "tag", name: "x&y" } });
  assert.deepEqual(parseRoute(""), { screen: "overview", of: [], query: {} });
});

test("an address that is none is none", () => {
  for (const hash of ["#/nowhere", "#/group/only-the-app", "#/group//name", "#/sessions/more", "#/user/a/%zz"]) assert.equal(parseRoute(hash), null, hash);
});

const key = (one, more = {}) => ({ key: one, modified: false, typing: false, ...more });
test("keys", () => {
  for (const [one, action] of [["/", { do: "search" }], ["t", { do: "theme" }], ["?", { do: "help" }], ["j", { do: "row", by: 1 }], ["k", { do: "row", by: -1 }], ["Enter", { do: "open" }], ["Escape", { do: "leave" }], ["x", null]]) {
    assert.deepEqual(press(null, key(one), 0), { chord: null, action });
  }
});

test("g and a letter is a screen, if the letter comes in time", () => {
  for (const [letter, to] of Object.entries(PLACES)) {
    const { chord, action } = press(null, key("g"), 1000);
    assert.deepEqual([chord, action], [1000, null]);
    assert.deepEqual(press(chord, key(letter), 1000 + CHORD_MS), { chord: null, action: { do: "go", to } });
  }
  assert.deepEqual(press(1000, key("s"), 1001 + CHORD_MS).action, null);
  assert.deepEqual(press(1000, key("z"), 1001), { chord: null, action: null });
});

test("keys are letters where one types, and the browser's with Ctrl; Esc leaves", () => {
  for (const one of ["/", "g", "j", "t", "?"]) {
    assert.equal(press(null, key(one, { typing: true }), 0).action, null);
    assert.equal(press(null, key(one, { modified: true }), 0).action, null);
  }
  assert.deepEqual(press(null, key("Escape", { typing: true }), 0).action, { do: "leave" });
});

test("sixteen hexadecimal digits are looked for as a session too, other names as user, group and tag, in every app", () => {
  const kinds = (text) => questions(text, ["a", "b"]).map(({ what, app, name }) => `${app} ${what} ${name}`);
  assert.deepEqual(kinds(" ada "), ["a user ada", "a group ada", "a tag ada", "b user ada", "b group ada", "b tag ada"]);
  assert.deepEqual(kinds("0000040EAF80C41B").slice(0, 2), ["a session 0000040eaf80c41b", "a user 0000040EAF80C41B"]);
  assert.deepEqual(kinds(""), []);
  assert.deepEqual(kinds("x".repeat(129)), []);
});

test("hits: those that are there, the session first, then the largest", () => {
  const hit = (what, sessions, app = "a") => ({ what, app, name: "n", sessions });
  const hits = sorted([hit("tag", 9), hit("user", 1), hit("group", 0), hit("user", 5, "b"), hit("session", 1)]);
  assert.deepEqual(hits.map(({ what, app }) => `${what} ${app}`), ["session a", "user b", "user a", "tag a"]);
  assert.deepEqual(hits.map(leadsTo), ["#/session/a/n", "#/user/b/n", "#/user/a/n", "#/sessions?app=a&by=tag&name=n"]);
});

test("events of a stream, wherever it is cut", () => {
  const text = `event: tick\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: a comment\n\ndata:Ελένη\n\nevent: none\n\n`;
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const reader = new EventReader();
    const events = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((part) => reader.push(part));
    assert.deepEqual(events, [{ name: "tick", data: `{"a":\n1}` }, { name: "message", data: "Ελένη" }], `cut at ${cut}`);
  }
});

test("the pause before the next attempt grows to a bound, and is not the same for two", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 60].map((attempt) => backOff(attempt, 1)), [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  assert.equal(backOff(3, 0), 2000);
});

test("a configuration is a list of keys, and what differs from the default is marked; each app is compared with the first", () => {
  const defaults = { listen: "127.0.0.1:9000", tls: { cert: null }, apps: { default: { tick_ms: 0, slow: { normal: "close" } } } };
  const config = { listen: "0.0.0.0:9000", tls: { cert: null }, apps: { chess: { tick_ms: 50, slow: { normal: "close" } } } };
  assert.deepEqual(flat(config, defaults), [
    { key: "listen", value: "0.0.0.0:9000", other: "127.0.0.1:9000" }, { key: "tls.cert", value: "none", other: null },
    { key: "apps.chess.tick_ms", value: "50", other: "0" }, { key: "apps.chess.slow.normal", value: "close", other: null },
  ]);
  assert.ok(flat(config, null).every(({ other }) => other === null));
});

test("a line of the audit trail, in words", () => {
  assert.equal(targetField(`user="a \\"b\\" c" code=4001`, "user"), `a "b" c`);
  assert.equal(targetField(`user="code=1" code=4001`, "code"), "4001");
  const line = (op, target, more = {}) => didWhat({ number: 1, at_unix_ms: 0, key: "ops", remote: null, op, app: null, target, result: "ok", ...more });
  assert.equal(line("kick", `user="cheat-8841"`), "kick user cheat-8841");
  assert.equal(line("reload", null, { changes: [{ key: "apps.chess.tick_ms", old: "50", new: "0" }] }), "reload: apps.chess.tick_ms 50 → 0");
  assert.equal(line("log", "level=debug for_ms=600000"), "log level debug for 10 min");
  assert.equal(line("drain", `to="wss://b" over_ms=60000`), "drain to wss://b over 1 min");
  assert.equal(line("upgrade", "dry_run=true", { result: "no such file" }), "rehearsed upgrade: no such file");
});

test("an upgrade that has begun is not one that was refused", () => {
  const line = (number, result, more = {}) => ({ number, at_unix_ms: number, key: "ops", remote: null, op: "upgrade", app: null, target: null, result, ...more });
  const said = (...changes) => whatChanged({ steps: [], changes, columns: { everyMs: 10_000 } }, 9).map(({ what, more }) => `${what}; ${more}`);
  assert.deepEqual(said(line(3, "no such file"), line(2, "ok"), line(1, "begun")), ["Upgraded: refused; by ops: no such file", "Upgraded; by ops", "Upgrade began; by ops"]);
  assert.deepEqual(said(line(1, "ok", { op: "record", target: `session="0000040eaf800000" frames=200` })), ["Recorder on for 0000040eaf800000; by ops"]);
});
