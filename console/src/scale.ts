// Where values and times lie in a plot, and which of them are written beside it. Pure.

export interface Scale {
  /** The part of the height, from the bottom, at which a value lies. */
  at(value: number): number;
  ticks: number[];
}

/** From 0 to a round number above the largest value, in about so many steps. */
export function linear(largest: number, about = 4): Scale {
  const rough = (largest > 0 ? largest : 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((round) => round * power >= rough * 0.999) ?? 10);
  const steps = Math.max(1, Math.ceil((largest > 0 ? largest : 1) / step - 1e-9));
  const top = steps * step;
  return { at: (value) => value / top, ticks: Array.from({ length: steps + 1 }, (_, n) => Number((n * step).toPrecision(6))) };
}

/** From a little below the smallest value to the decade above the largest; written are the decades. What is 0 or less has no place. */
export function logarithmic(smallest: number, largest: number): Scale {
  const low = Math.log10(Math.max(smallest, 1e-3));
  const first = Math.floor(low + 1e-9);
  const to = Math.max(first + 1, Math.ceil(Math.log10(Math.max(largest, 1e-3)) - 1e-9));
  const from = Math.max(first, low - 0.25);
  const ticks = Array.from({ length: to - first + 1 }, (_, n) => Number((10 ** (first + n)).toPrecision(1)));
  return { at: (value) => (Math.log10(value) - from) / (to - from), ticks: ticks.filter((tick) => Math.log10(tick) >= from - 1e-9) };
}

const HOUR_MS = 3_600_000;
const STEPS_MS = [5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, HOUR_MS];

/** Round times between two, no more than `most`. */
export function timeTicks(from: number, to: number, most: number): { at: number[]; seconds: boolean } {
  const step = STEPS_MS.find((ms) => (to - from) / ms <= most) ?? Math.ceil((to - from) / most / HOUR_MS) * HOUR_MS;
  const at = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) at.push(time);
  return { at, seconds: step < 60_000 };
}
