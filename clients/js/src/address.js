/**
 * Where a request goes. The paths of the HTTP forms stand beside `/ws` or `/ws/{app}`, so a proxy's prefix is kept. `/send` and
 * `/session` name no app and take no other parameter than the ticket: it says which session is meant.
 */
export const address = (base, what, params, ticket, received, atOnce) => {
  const url = new URL(base, globalThis.location?.href), query = url.searchParams, isBeside = /^se[ns]/.test(what);
  url.protocol = what == "ws" ? url.protocol.replace("http", "ws") : url.protocol.replace("ws", "http");
  url.pathname = url.pathname.replace(/\/ws(\/[^/]*)?$/, (_, app = "") => "/" + what + (isBeside ? "" : app));
  if (isBeside) url.search = "";
  else for (const name in params) query.append(name, params[name]);
  if (ticket) {
    query.set("resume", ticket);
    isBeside || query.set("received", received);
  }
  // Of a poll: its answer is not to wait for a message.
  if (atOnce) query.set("wait_ms", 0);
  return url.href;
};
