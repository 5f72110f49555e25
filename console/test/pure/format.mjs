// Numbers, sizes, times, payloads and commands, as the page writes them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../load.mjs";

const format = await load("format.ts");
const NOON = Date.UTC(2026, 10, 27, 12, 0, 0);

/** A table of what goes in and what is written. */
const table = (name, write, rows) =>
  test(name, () => {
    for (const [given, written] of rows) assert.equal(write(...[given].flat()), written, JSON.stringify(given));
  });

table("about three digits", format.digits, [[0, "0"], [0.001, "< 0.01"], [0.12, "0.12"], [0.9994, "1.00"], [1, "1.0"], [9.94, "9.9"], [9.96, "10"], [1240.4, "1,240"], [-38, "-38"]]);
table("rates", (n) => format.together(format.rate(n)), [[0, "0/s"], [0.3, "0.30/s"], [18, "18/s"], [9_994, "9,994/s"], [96_400, "96.4 k/s"], [2_500_000, "2.5 M/s"]]);
table("bytes", format.bytes, [[0, "0 B"], [999, "999 B"], [1024, "1.0 KiB"], [860_160, "840 KiB"], [1_048_576, "1 MiB"], [1_600_000, "1.5 MiB"], [5 * 2 ** 30, "5.0 GiB"]]);
table("spans", format.span, [[-5, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [41 * 60_000, "41 min"], [3_600_000, "1 h"], [7_500_000, "2 h 5 min"], [12 * 86_400_000 + 4 * 3_600_000, "12 d 4 h"], [86_400_000, "1 d"]]);
table("times of today, of another day and of another year", (at) => format.when(at, NOON), [[NOON - 1000, "11:59:59"], [NOON - 86_400_000, "26 Nov 12:00"], [Date.UTC(2025, 0, 2, 3, 4), "2 Jan 2025 03:04"]]);
table("beside itself an hour ago, by how much", (now, before, least) => format.more(now, before, format.count, "an hour", least), [
  [[48_213, 47_593], "+620 in an hour"], [[10, 13], "−3 in an hour"], [[5, 5], "as an hour ago"], [[5, null], ""], [[12, 15, 8], "as an hour ago"],
]);

test("beside itself an hour ago, by how many times", () => {
  assert.deepEqual(format.times(9, 2.1), { strong: "4.3 ×", rest: "an hour ago" });
  assert.deepEqual(format.times(9, 8.9), { strong: "", rest: "as an hour ago" });
  assert.deepEqual(format.times(9, 0), { strong: "", rest: "none an hour ago" });
  assert.deepEqual(format.times(0, 9), { strong: "", rest: "far below an hour ago" });
  assert.deepEqual(format.times(9, null), { strong: "", rest: "" });
});

test("a payload is text if it is, else hexadecimal digits", () => {
  const bytes = (text) => new TextEncoder().encode(text);
  assert.equal(format.payload(bytes(`{"t":1}`)), `{"t":1}`);
  assert.equal(format.payload(bytes("é"), 1), "c3");
  assert.equal(format.payload(new Uint8Array([4, 14, 0xaf])), "04 0e af");
});

test("a command for a shell is quoted where it has to be", () => {
  assert.equal(format.shell(["a/b", "it's", `{"x":1}`, "$HOME"]), `a/b 'it'\\''s' '{"x":1}' '$HOME'`);
});
