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
/** So many values say whether there is a step, and whether it is one with the step before. */
const WINDOW = APART + AFTER;

/** The sums of all values and of their squares up to each: a mean is a difference then. */
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

/** The steps from the value at `begin` on, behind those that are known. */
function seek(times: number[], values: (number | null)[], least: number, begin: number, known: Step[]): Step[] {
  const numbers = values.map((value) => value ?? 0);
  const { mean, spread } = running(numbers);
  const found = [...known];
  for (let index = begin; index + AFTER <= numbers.length; index += 1) {
    const first = Math.max(0, index - BEFORE);
    const [from, to] = [mean(first, index), mean(index, index + AFTER)];
    const change = Math.abs(to - from);
    // Beyond what it does anyway, and not one peak: most of what follows is on the other side.
    if (change < least || Math.max(from, to) < 1.5 * Math.min(from, to) || change < 4 * spread(first, index)) continue;
    const after = numbers.slice(index, index + AFTER);
    if (after.filter((value) => (to > from ? value > from + change / 3 : value < from - change / 3)).length < AFTER - 1) continue;
    const what = numbers.slice(first, index).every((value) => value === 0) ? "began" : after.every((value) => value === 0) ? "ended" : to > from ? "rose" : "fell";
    const step: Step = { at: times[index] as number, what, from, to };
    const last = found.at(-1);
    const apart = last ? index - times.indexOf(last.at) : Infinity;
    if (!last || apart >= APART || last.at < (times[0] as number)) found.push(step);
    else if (change > Math.abs(last.to - last.from)) found[found.length - 1] = step;
  }
  return found;
}

/** The steps of one column, oldest first. `least` is how much a change has to be. */
export const steps = (times: number[], values: (number | null)[], least: number): Step[] => seek(times, values, least, AFTER, []);

/** The same when another value has come, which shows at most one step more: those that are known are not looked for again. */
export function stepsOn(times: number[], values: (number | null)[], least: number, known: Step[]): Step[] {
  const oldest = times[0] ?? 0;
  const recent = times.slice(-WINDOW);
  return seek(recent, values.slice(-WINDOW), least, Math.max(AFTER, recent.length - AFTER), known.filter(({ at }) => at >= oldest));
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
