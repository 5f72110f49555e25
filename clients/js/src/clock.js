/** Two clocks of one machine differ by no more than this part of the time between two looks: 200 ppm. */
const DRIFT = 2e-4;
/** Monotonic clocks may stand still while a machine sleeps. If the wall clock ran ahead by so many ms, it slept. */
const SLEPT_MS = 3e4;

export const now = () => performance.now();

/**
 * The server's clock. What is known of it is an interval: the server read its clock somewhere between question and answer, so
 * whatever the way there and the way back took, the offset lies in [server - answered, server + 1 - asked].
 */
export const createClock = () => {
  let low, high, since, skew;
  /** By how much the interval has grown on each side, since it was measured. */
  const drift = () => DRIFT * (now() - since);
  const forgetIfSlept = () => {
    const is = Date.now() - now();
    if (Math.abs(is - skew) > SLEPT_MS) low = NaN;
    skew = is;
  };
  return [
    /** An answer has come: asked when, and the server's wall clock. */
    (asked, server) => {
      forgetIfSlept();
      const answered = now(), from = server - answered, to = server + 1 - asked, wider = drift();
      low = Math.max(low - wider, from);
      high = Math.min(high + wider, to);
      // Nothing was known, or the clock of either side was set.
      if (!(low <= high)) [low, high] = [from, to];
      since = answered;
    },
    () => {
      forgetIfSlept();
      return low <= high ? { unixMs: now() + (low + high) / 2, errorMs: (high - low) / 2 + drift() } : null;
    },
  ];
};
