// What the page makes of the stream: the hour in columns, the rows of the apps, steps, since when something is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../load.mjs";

const { Model } = await load("model.ts");
const { steps, stepsOn, since } = await load("steps.ts");
const { linear, logarithmic, timeTicks } = await load("scale.ts");
const { linePath } = await load("path.ts");
const { condense, sparkPath } = await load("spark.ts");

const START = 1_760_000_000_000;
const hello = (more = {}) => ({
  host: "eu1", node: 0, name: null, version: "0.2.0", pid: 1, started_unix_ms: START, process_started_unix_ms: START, now_unix_ms: START, reactors: 2, cluster: false,
  scope: "server", apps: ["default"], bounds: { max_sessions: 100 }, certificates: [], key: { name: "ops", may: ["all"], apps: null }, ...more,
});
const tick = (at, more = {}) => ({
  unix_ms: at, ms: 1000, ready: true, sessions: 10, away: 0, behind: 0, opened: 1, messages_in: 0, pushes: 0, messages_out: 100, deliveries: { queued: 100 },
  closed: {}, refused: {}, push_to_write: { count: 1, p50_us: 10, p99_us: 20, p999_us: 30 }, turn: { count: 1, p50_us: 1, p99_us: 2, p999_us: 3 },
  reactors: { sessions: [5, 5], busy: [0.1, 0.2], turn_p99_us: [1, 2] }, apps: {}, ...more,
});
const history = (length, more = {}) => {
  const column = (value) => Array(length).fill(value);
  return { every_ms: 10_000, end_unix_ms: START, sessions: column(9), away: column(0), behind: column(0), messages_out: column(1000), closed_too_slow: column(0), refused: column(0), push_to_write_p99_us: column(0), deliveries: { queued: column(1000), closed: column(0) }, apps: {}, ...more };
};
const take = (model, name, data) => model.take({ name, data: JSON.stringify(data) });

function started(length = 360) {
  const model = new Model();
  take(model, "hello", hello());
  take(model, "history", history(length));
  return model;
}

test("before the first tick the figures are those of the hour's end", () => {
  const model = started();
  assert.deepEqual([model.live, model.tick.sessions, model.tick.messages_out, model.tick.ms], [false, 9, 1000, 10_000]);
  take(model, "tick", tick(START + 1000));
  assert.deepEqual([model.live, model.tick.sessions], [true, 10]);
});

test("ticks go on with the hour: counts are added, gauges are the last, percentiles the largest, ten seconds are one entry", () => {
  const model = started();
  for (let second = 1; second <= 20; second += 1) {
    const { moved } = take(model, "tick", tick(START + second * 1000, { sessions: second, push_to_write: { count: 1, p50_us: 1, p99_us: second, p999_us: 1 } }));
    assert.equal(moved, second === 1 || second === 11, `second ${second}`);
  }
  const { columns } = model;
  assert.equal(columns.times.length, 360);
  assert.deepEqual(columns.times.slice(-2), [START + 10_000, START + 20_000]);
  assert.deepEqual(["messages_out", "sessions", "push_to_write_p99_us", "reactor.1"].map((name) => columns.column(name).slice(-2)), [[1000, 1000], [10, 20], [10, 20], [0.2, 0.2]]);
  assert.ok(["messages_out", "sessions", "reactor.0", "deliveries.closed"].every((name) => columns.column(name).length === 360));
});

test("a tick that covers several seconds, since the page was slow, keeps sums right", () => {
  const model = started(0);
  take(model, "tick", tick(START + 10_000, { ms: 10_000, messages_out: 5000 }));
  take(model, "tick", tick(START + 40_000, { ms: 30_000, messages_out: 9000 }));
  assert.equal(model.columns.column("messages_out").reduce((sum, n) => sum + n, 0), 14_000);
});

test("where nothing was measured there is no percentile, and not 0", () => {
  const model = started(6);
  assert.equal(model.p99(), null);
  take(model, "tick", tick(START + 1000, { push_to_write: { count: 0, p50_us: 0, p99_us: 0, p999_us: 0 } }));
  assert.equal(model.p99(), null);
  take(model, "tick", tick(START + 2000));
  assert.equal(model.p99(), 20);
});

test("an app without a row keeps its gauges and has counts of 0; a field that lacks in a row is 0", () => {
  const model = started();
  take(model, "tick", tick(START + 1000, { apps: { default: { sessions: 7, behind: 2, pushes: 3 } } }));
  assert.deepEqual([model.apps.get("default").sessions, model.apps.get("default").pushes], [7, 3]);
  take(model, "tick", tick(START + 2000));
  assert.deepEqual([model.apps.get("default").sessions, model.apps.get("default").behind, model.apps.get("default").pushes], [7, 2, 0]);
  take(model, "tick", tick(START + 3000, { apps: { default: { opened: 1 } } }));
  assert.deepEqual([model.apps.get("default").sessions, model.apps.get("default").opened], [0, 1]);
});

test("a hello with the same start goes on, as after an upgrade; another start is a restart and begins anew", () => {
  const model = started();
  take(model, "tick", tick(START + 1000));
  assert.equal(take(model, "hello", hello({ version: "0.3.0", pid: 2, apps: ["default", "chess"] })).restarted, false);
  assert.deepEqual([model.columns.times.length, [...model.apps.keys()]], [360, ["default", "chess"]]);
  assert.equal(take(model, "hello", hello({ started_unix_ms: START + 5000 })).restarted, true);
  assert.deepEqual([model.columns.times.length, model.tick, model.live], [0, null, false]);
});

test("a hello without an app forgets it", () => {
  const model = started();
  take(model, "hello", hello({ apps: ["chess"] }));
  assert.deepEqual([...model.apps.keys()], ["chess"]);
});

test("changes are the newest first, each once, and not without end", () => {
  const model = started();
  for (const number of [2, 1, 3, 3, ...Array.from({ length: 300 }, (_, n) => n + 4)]) take(model, "change", { number, at_unix_ms: number, op: "kick" });
  assert.deepEqual([model.changes.length, model.changes[0].number, model.changes[1].number], [200, 303, 302]);
});

test("a hello, a tick and an event that nobody knows: the last is left out", () => {
  assert.equal(take(started(), "weather", {}), null);
});

test("the hour of a server comes anew after a lost connection; what only the page has stays at its time", () => {
  const model = started();
  for (let second = 1; second <= 10; second += 1) take(model, "tick", tick(START + second * 1000));
  take(model, "history", history(360, { end_unix_ms: START + 20_000 }));
  assert.deepEqual(model.columns.times.slice(-2), [START + 10_000, START + 20_000]);
  assert.deepEqual(model.columns.column("reactor.1").slice(-3), [null, 0.2, null]);
});

test("a stream that begins within an interval: what it has counted in the rest stands for all of it, and the next is as it is", () => {
  const model = started();
  // The first tick comes 7.5 s after the hour's end, and tells of half a second.
  take(model, "tick", tick(START + 7500, { ms: 500, messages_out: 50, sessions: 10, deliveries: { queued: 50 } }));
  assert.equal(model.columns.column("messages_out").at(-1), 50, "as long as it grows");
  for (let second = 8500; second <= 28_500; second += 1000) take(model, "tick", tick(START + second));
  const { columns } = model;
  assert.deepEqual(["messages_out", "deliveries.queued", "sessions"].map((name) => columns.whole(name).slice(-3)), [[1000, 1000, 1000], [1000, 1000, 1000], [9, 10, 10]]);
});

test("the hour that comes after a while has newer figures than the last tick; whether the server is ready it does not say", () => {
  const model = started();
  take(model, "tick", tick(START + 1000, { ready: false, why: "draining", sessions: 3 }));
  take(model, "history", history(360, { end_unix_ms: START + 60_000 }));
  assert.deepEqual([model.now, model.tick.sessions, model.tick.ready, model.tick.why], [START + 60_000, 9, false, "draining"]);
  take(model, "history", history(360, { end_unix_ms: START + 50_000, sessions: Array(360).fill(8) }));
  assert.equal(model.tick.sessions, 9, "an hour that ends before the last tick is not newer");
});

test("the server's hour has a column for each reactor, and where an earlier version kept none there is none", () => {
  const model = started(3);
  take(model, "history", history(3, { reactors_busy: [[null, 0.1, 0.2], [null, 0.3, 0]] }));
  assert.deepEqual([0, 1].map((at) => model.columns.whole(`reactor.${at}`)), [[null, 0.1, 0.2], [null, 0.3, 0]]);
});

test("what a key may: all includes the rest, and administration is for every app", () => {
  const may = (key) => {
    const model = new Model();
    take(model, "hello", hello({ key: { name: "k", ...key } }));
    return [model.may("read"), model.may("push"), model.may("all"), model.administers];
  };
  assert.deepEqual(may({ may: ["all"], apps: null }), [true, true, true, true]);
  assert.deepEqual(may({ may: ["all"], apps: ["chess"] }), [true, true, true, false]);
  assert.deepEqual(may({ may: ["read"], apps: null }), [true, false, false, false]);
});

test("a key of some apps has no reactors and no verdict on them, and nothing breaks", () => {
  const model = new Model();
  take(model, "hello", hello({ scope: "apps", bounds: undefined, certificates: undefined, reactors: undefined }));
  take(model, "history", { every_ms: 10_000, end_unix_ms: START, apps: { default: { sessions: [1, 2] } } });
  take(model, "tick", { unix_ms: START + 1000, ms: 1000, ready: true, sessions: 3, away: 0, behind: 1, opened: 0, messages_in: 0, pushes: 0, apps: {} });
  assert.deepEqual(model.verdict().all.map(({ topic }) => topic), ["behind"]);
});

test("since when something is, as far as the hour tells; one value below on the way is no end", () => {
  const times = [1, 2, 3, 4, 5, 6, 7];
  assert.equal(since(times, [0, 0, 9, 0, 9, 9, 9], 5), 3);
  assert.equal(since(times, [9, 0, 0, 9, 9, 9, 9], 5), 4);
  assert.equal(since(times, [9, 9, 9, 9, 9, 0, 0], 5), null);
});

test("steps: what rises and stays, begins or ends; not what is a peak or goes up and down", () => {
  const times = Array.from({ length: 120 }, (_, at) => at);
  const wave = times.map((at) => 100 + (at % 2) * 40);
  const said = (values, least = 10) => steps(times, values, least).map(({ at, what }) => `${what} ${at}`);
  assert.deepEqual(said(times.map((at) => (at < 60 ? 58 : 96))), ["rose 60"]);
  assert.deepEqual(said(times.map((at) => (at < 60 ? 96 : 58))), ["fell 60"]);
  assert.deepEqual(said(times.map((at) => (at < 60 ? 0 : 41))), ["began 60"]);
  assert.deepEqual(said(times.map((at) => (at < 60 ? 41 : 0))), ["ended 60"]);
  assert.deepEqual(said(times.map((at) => (at === 60 ? 900 : 58))), []);
  assert.deepEqual(said(wave), []);
  assert.deepEqual(said(times.map((at) => (at < 60 ? 1 : 4))), []);
});

test("steps that are sought value by value are those of the whole", () => {
  const length = 600;
  const times = Array.from({ length }, (_, at) => at + 1);
  // Levels of several lengths, with something on them that is no step.
  const values = times.map((at) => [0, 40, 100, 95, 300, 0, 60, 61][Math.floor(at / 47) % 8] + (at % 3));
  let known = steps(times.slice(0, 20), values.slice(0, 20), 10);
  for (let seen = 21; seen <= length; seen += 1) known = stepsOn(times.slice(0, seen), values.slice(0, seen), 10, known);
  assert.deepEqual(known, steps(times, values, 10));
  assert.ok(known.length >= 8, "there are some");
  // What has left the hour is not known any more.
  assert.deepEqual(stepsOn(times.slice(240), values.slice(240), 10, known), known.filter(({ at }) => at > 240));
});

test("axes: round steps from zero, decades, round times", () => {
  assert.deepEqual(linear(189).ticks, [0, 50, 100, 150, 200]);
  assert.deepEqual(linear(840, 2).ticks, [0, 500, 1000]);
  assert.deepEqual(linear(0).ticks.at(0), 0);
  assert.equal(linear(189).at(200), 1);
  assert.deepEqual(logarithmic(0.07, 26).ticks, [0.1, 1, 10, 100]);
  assert.equal(logarithmic(0.07, 26).at(100), 1);
  assert.ok(logarithmic(0.07, 26).at(0.07) > 0);
  const hour = timeTicks(START, START + 3_600_000, 5);
  assert.ok(hour.at.length >= 3 && hour.at.every((at) => at % 900_000 === 0) && !hour.seconds);
  // As behind a machine that slept for years.
  assert.ok(timeTicks(0, START, 5).at.length <= 6);
});

test("a small line has no more corners than it can show, and ends where nothing is known", () => {
  assert.equal(condense(Array(360).fill(1), 90).length, 90);
  assert.deepEqual(condense([1, null, 3], 90), [1, null, 3]);
  assert.deepEqual(sparkPath([null, 1]), { line: "", area: "" });
  assert.equal(sparkPath([1, 2, null, 2, 1]).line.match(/M/g).length, 2);
  assert.ok(!sparkPath([0, 0, 0]).line.includes("NaN"));
});

test("a line has no more corners than it turns, breaks where nothing is known, and its area goes down to the bottom", () => {
  const x = ["0", "1", "2", "3", "4", "5"];
  assert.equal(linePath(x, ["7", "7", "7", "7", "7", "7"]), "M0 7L5 7");
  assert.equal(linePath(x, ["7", "7", "7", "9", "9", "8"]), "M0 7L2 7L3 9L4 9L5 8");
  assert.equal(linePath(x, [null, "7", "7", null, "7", null]), "M1 7L2 7M4 7");
  assert.equal(linePath(x, ["7", "7", null, null, "8", "9"], 20), "M0 7L1 7L1 20L0 20ZM4 8L5 9L5 20L4 20Z");
  assert.equal(linePath(x, Array(6).fill(null), 20), "");
});
