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

/** The sums of all values and of their squares up to each: a mean is a difference then, for this is done each ten seconds. */
function running(values: number[]): { mean: (from: number, to: number) => number; spread: (from: number, to: number) => number } {
  const sums = [0];
  const squares = [0];
  values.forEach((value, at) => {
    sums.push((sums[at] as number) + value);
    squares.push((squares[at] as number) + value * value);
  });
  const of = (list: number[], from: number, to: number) => ((list[to] as number) - (list[from] as number)) / (to - from);
  return { mean: (from, to) => of(sums, from, to), spread: (from, to) => Math.sqrt(Math.max(0, of(squares, from, to) - of(sums, from, to) ** 2)) };
}

/** The steps of one column, oldest first. `least` is how much a change has to be. */
export function steps(times: number[], values: (number | null)[], least: number): Step[] {
  const known = values.map((value) => value ?? 0);
  const { mean, spread } = running(known);
  const found: (Step & { index: number; change: number })[] = [];
  for (let index = AFTER; index + AFTER <= known.length; index += 1) {
    const first = Math.max(0, index - BEFORE);
    const [from, to] = [mean(first, index), mean(index, index + AFTER)];
    const change = Math.abs(to - from);
    // Beyond what it does anyway, and not one peak: most of what follows is on the other side.
    if (change < least || Math.max(from, to) < 1.5 * Math.min(from, to) || change < 4 * spread(first, index)) continue;
    const after = known.slice(index, index + AFTER);
    if (after.filter((value) => (to > from ? value > from + change / 3 : value < from - change / 3)).length < AFTER - 1) continue;
    const what = known.slice(first, index).every((value) => value === 0) ? "began" : after.every((value) => value === 0) ? "ended" : to > from ? "rose" : "fell";
    const step = { at: times[index] as number, what, from, to, index, change } as const;
    const last = found.at(-1);
    if (last && index - last.index < APART) {
      if (change > last.change) found[found.length - 1] = step;
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
