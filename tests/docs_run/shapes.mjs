// What a page shows beside what is: alike but for numbers, times, ids and addresses.

/** A number with its unit, in any of the forms that programs print. */
const NUMBER = /[-+]?\d[\d,.:_]*\s*(?:(?:ns|µs|ms|s|min|h|d|k|M|B|kB|KiB|MiB|GiB|%)(?![A-Za-z])\s*)*/g;
const IDS = /\b[0-9a-f]{16}\b|\b\d{4}-\d\d-\d\dT[\d:.]+Z|\b[A-Za-z0-9_-]{32,44}(?::\d+)?(?![A-Za-z0-9_-])/g;

const plain = (line) => line.replace(IDS, "0").replace(NUMBER, "0").replace(/0(?:\s*0)+/g, "0").replace(/─+/g, "─").replace(/\s+/g, " ").trim();

/** Whether a line of text is as the page shows it; `…` is any text. */
function isLikeText(shown, printed) {
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = plain(shown).split("…").map(literal).join(".*");
  return new RegExp(`^${pattern}$`).test(plain(printed));
}

function json(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const isTable = (value) => Object.values(value).every((entry) => typeof entry === "number" || (entry?.constructor === Object && isTable(entry)));

/**
 * Whether a value has the keys, the words and the kinds of another. `null` may stand for a value, `"…"` for further keys, and what is empty
 * for what has entries. A table of numbers inside of something may have other rows.
 */
export function isLike(shown, is, isInside = false) {
  if (shown === null || is === null) return true;
  if (typeof shown !== typeof is || Array.isArray(shown) !== Array.isArray(is)) return false;
  if (Array.isArray(shown)) return is.length === 0 || shown.every((entry) => is.some((other) => isLike(entry, other, true)));
  if (typeof shown === "object") {
    if (isInside && isTable(shown) && isTable(is)) return true;
    const keys = Object.keys(shown).filter((key) => key !== "…");
    const isWhole = keys.length === Object.keys(shown).length;
    return keys.every((key) => key in is && isLike(shown[key], is[key], true)) && (!isWhole || Object.keys(is).length === keys.length);
  }
  return typeof shown !== "string" || shown === is || (/\d|…/.test(shown) && /\d/.test(is)) || isLikeText(shown, is);
}

function isLikeLine(shown, printed) {
  const [value, other] = [shown, printed].map((line) => json(line.replace(/^data: /, "")));
  if (typeof value === "object" && value !== null) return other !== undefined && isLike(value, other);
  return isLikeText(shown, printed);
}

/** The first line of `shown` that is not among the lines of `printed`, in any order; `undefined` where all are. */
export function missing(shown, printed) {
  const lines = shown.split("\n").filter((line) => line.trim() !== "" && line.trim() !== "…");
  const rest = printed.replace(/\}\{/g, "}\n{").split("\n");
  for (const line of lines) {
    const at = rest.findIndex((other) => isLikeLine(line, other));
    if (at < 0) return line;
    rest.splice(at, 1);
  }
  return undefined;
}

/** The first line that none of the answers is like. */
export function unanswered(shown, answers) {
  const lines = json(shown) === undefined ? shown.split("\n") : [shown];
  return lines.find((line) => line.trim() !== "" && !answers.some((answer) => isLikeLine(line, answer)));
}
