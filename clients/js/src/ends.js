/** Close codes and statuses after which the client stays away: it is not wanted, or would be refused again. */
const LAST = /^(100[023789]|4(0[0345]|1[345]|26|31)|(?!400[034])[3-9]\d{3})$/;

/** Whether there is no sense in coming back after a close code or a status. */
export const isLast = (codeOrStatus) => LAST.test(codeOrStatus);

/**
 * What the reason of a Close 1012 says: how long to wait, and where to go; nothing if it is not exactly of the form of a drain,
 * or would lead from wss to ws. `here` is the address that the client has been at.
 */
export const hintOf = (reason, here) => {
  const [, ms, to] = /^after_ms=(\d+)(?: to=(wss?:\/\/\S+))?$/.exec(reason) || [];
  return ms && !(/^wss/.test(here) && /^ws:/.test(to)) ? { ms: +ms, to } : undefined;
};
