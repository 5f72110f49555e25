// The verdict, by tables: what is said of which figures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../load.mjs";

const { verdict, median, LIMITS } = await load("verdict.ts");

const WELL = {
  ready: true, why: null, sessions: 48_213, maxSessions: 1_000_000, acceptErrors: 0, mailboxOverflow: 0, mailboxDropped: 0, relieved: 0, behind: 3,
  tooSlow: 0, tooSlowMedian: 0, refused: 18, refusedMedian: 17, p99: 2_100, p99Median: 2_000, notDelivered: 10, due: 5_000_000, busy: [0.32, 0.35], certificateMs: null,
};
const DAY = 86_400_000;

test("all is well where nothing is beyond its limit", () => {
  assert.deepEqual(verdict(WELL), { level: "well", heading: "All is well.", findings: [], all: [] });
});

// What differs from a server that is well; the level, the heading, and the topics that are found.
const TABLE = [
  [{ ready: false, why: "draining" }, "act", "Players do not get in.", ["ready"]],
  [{ ready: false, why: "cluster" }, "act", "Players do not get in.", ["ready"]],
  [{ acceptErrors: 1 }, "act", "Some players do not get in.", ["accept"]],
  [{ mailboxOverflow: 1 }, "act", "Players get in. Messages are held up between reactors.", ["overflow"]],
  [{ mailboxDropped: 1 }, "act", "Players get in. Messages are lost between reactors.", ["mailbox"]],
  [{ relieved: 1 }, "act", "Players get in. Sessions are closed to free memory.", ["relieved"]],
  [{ sessions: 979_999 }, "well", "All is well.", []],
  [{ sessions: 980_000 }, "act", "Players get in. Hardly a place is left.", ["full"]],
  [{ sessions: 1_000_000 }, "act", "The server is full: players do not get in. Hardly a place is left.", ["full"]],
  [{ sessions: 1_000_000, maxSessions: 0 }, "well", "All is well.", []],
  [{ behind: 241 }, "well", "All is well.", []],
  [{ behind: 242 }, "look", "Players get in. Some are falling behind.", ["behind"]],
  [{ sessions: 0, behind: 0 }, "well", "All is well.", []],
  [{ tooSlow: 1 }, "well", "All is well.", []],
  [{ tooSlow: 2 }, "look", "Players get in. Some are closed because they are too slow.", ["tooSlow"]],
  [{ tooSlow: 30, tooSlowMedian: 10 }, "well", "All is well.", []],
  [{ tooSlow: 31, tooSlowMedian: 10 }, "look", "Players get in. Some are closed because they are too slow.", ["tooSlow"]],
  [{ refused: 51 }, "well", "All is well.", []],
  [{ refused: 52 }, "look", "Players get in. More are refused than usual.", ["refused"]],
  [{ p99: 6_000 }, "well", "All is well.", []],
  [{ p99: 6_001 }, "look", "Players get in. Messages leave late.", ["p99"]],
  [{ p99: 4_999, p99Median: 100 }, "well", "All is well.", []],
  [{ p99: null }, "well", "All is well.", []],
  [{ notDelivered: 5_000 }, "well", "All is well.", []],
  [{ notDelivered: 5_001 }, "look", "Players get in. Not all messages arrive.", ["notDelivered"]],
  [{ notDelivered: 0, due: 0 }, "well", "All is well.", []],
  [{ busy: [0.8, 0.1] }, "well", "All is well.", []],
  [{ busy: [0.2, 0.91, 0.4] }, "look", "Players get in. One reactor is near its limit.", ["reactor"]],
  [{ certificateMs: 14 * DAY }, "well", "All is well.", []],
  [{ certificateMs: 14 * DAY - 1 }, "look", "Players get in. The certificate ends soon.", ["certificate"]],
];

for (const [differs, level, heading, topics] of TABLE) {
  test(`${JSON.stringify(differs)} is: ${heading}`, () => {
    const said = verdict({ ...WELL, ...differs });
    assert.deepEqual([said.level, said.heading, said.findings.map(({ topic }) => topic)], [level, heading, topics]);
  });
}

test("at most three findings are shown, what asks for acting first; the others still colour their figures", () => {
  const said = verdict({ ...WELL, certificateMs: DAY, busy: [0.9], p99: 9_000, behind: 5_000, tooSlow: 41, relieved: 2 });
  assert.equal(LIMITS.findings, 3);
  assert.deepEqual(said.findings.map(({ topic }) => topic), ["relieved", "behind", "tooSlow"]);
  assert.deepEqual(said.all.map(({ topic }) => topic), ["relieved", "behind", "tooSlow", "reactor", "p99", "certificate"]);
  assert.equal(said.level, "act");
});

test("a finding is a sentence with its figures", () => {
  const [act] = verdict({ ...WELL, ready: false, why: "draining" }).findings;
  assert.equal(act.lead + act.rest, "New players are refused: it is being drained");
  const [look] = verdict({ ...WELL, behind: 312 }).findings;
  assert.equal(look.lead + look.rest, "312 sessions are behind, 0.65 % of all");
  const [busy] = verdict({ ...WELL, busy: [0.34, 0.34, 0.91] }).findings;
  assert.deepEqual([busy.lead + busy.rest, busy.reactor], ["Reactor 2 is 91 % busy, the others 34 %", 2]);
  const [over] = verdict({ ...WELL, certificateMs: -1 }).findings;
  assert.equal(over.lead + over.rest, "The certificate has expired: players who connect anew fail");
});

test("the median is the middle, of an even number the mean of the two in it, of none 0", () => {
  assert.deepEqual([median([]), median([3]), median([9, 1, 3]), median([1, 9, 3, 5])], [0, 3, 3, 4]);
});
