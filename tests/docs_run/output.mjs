// What a page says that is printed, beside what is: equal but for ids, times, tickets and places, which are others each time.

const ID = /\b[0-9a-f]{16}\b/g;
const UNIX_MS = /\b1[0-9]{12}\b/g;
const TICKET = /\b[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])/g;
const ROUND_TRIP = /"round_trip_us":(?:\d+|null)/g;

/** A text with one word for all that is another one each time. Answers of HTTP have no end of line: each gets one. */
export function settled(text) {
  const same = text.replace(ID, "ID").replace(TICKET, "TICKET").replace(UNIX_MS, "TIME").replace(ROUND_TRIP, '"round_trip_us":N');
  const lines = same.replace(/\}\{/g, "}\n{").split("\n");
  return lines.map((line) => line.trimEnd()).filter((line) => line !== "").join("\n");
}

/** What a page shows, as a pattern of settled text: `…` is any text within a line. */
export function patternOf(shown) {
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return settled(shown).split("…").map(literal).join("[^\\n]*");
}
