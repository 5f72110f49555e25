// Steps that are seen in the figures: when something rose, fell, began or ended and stayed so. They stand among what changed, so
// that a reload and what came of it are read together.

export interface Step {
  at: number;
  what: "rose" | "fell" | "began" | "ended";
  from: number;
  to: number;
}

const BEFORE = 30;
const AFTER = 6;
/** Two steps of one figure are this far apart: within that they are one. */
const APART = 30;

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function spread(values: number[], around: number): number {
  return Math.sqrt(mean(values.map((value) => (value - around) ** 2)));
}

/** How strong a step between two neighbours is, or 0. */
function strength(before: number[], after: number[], least: number): number {
  const [from, to] = [mean(before), mean(after)];
  const change = Math.abs(to - from);
  if (change < least || Math.max(from, to) < 1.5 * Math.min(from, to)) return 0;
  // Beyond what it does anyway, and not one peak: most of what follows is on the other side.
  if (change < 4 * spread(before, from)) return 0;
  const crossed = after.filter((value) => (to > from ? value > from + change / 3 : value < from - change / 3)).length;
  return crossed >= AFTER - 1 ? change : 0;
}

/** The steps of one column, oldest first. `least` is how much a change has to be. */
export function steps(times: number[], values: (number | null)[], least: number): Step[] {
  const known = values.map((value) => value ?? 0);
  const found: (Step & { index: number; strength: number })[] = [];
  for (let index = AFTER; index + AFTER <= known.length; index += 1) {
    const before = known.slice(Math.max(0, index - BEFORE), index);
    const after = known.slice(index, index + AFTER);
    const strong = strength(before, after, least);
    if (strong === 0) continue;
    const [from, to] = [mean(before), mean(after)];
    const what = before.every((value) => value === 0) ? "began" : after.every((value) => value === 0) ? "ended" : to > from ? "rose" : "fell";
    const step = { at: times[index] as number, what, from, to, index, strength: strong } as const;
    const last = found.at(-1);
    if (last && index - last.index < APART) {
      if (strong > last.strength) found[found.length - 1] = step;
    } else {
      found.push(step);
    }
  }
  return found.map(({ at, what, from, to }) => ({ at, what, from, to }));
}

/** Since when the end of a column is beyond a limit, or `null` if the end is not. One value on the way may be below. */
export function since(times: number[], values: (number | null)[], limit: number): number | null {
  let at: number | null = null;
  let below = 0;
  for (let index = values.length - 1; index >= 0 && below < 2; index -= 1) {
    if ((values[index] ?? 0) > limit) {
      at = times[index] as number;
      below = 0;
    } else {
      below += 1;
    }
  }
  return at;
}
