// gannet's client for players. README.md says what is promised; ../vectors.json is what every client in every language does.
//
// One closure holds it all, since its names are what a minifier shortens. A connection, or the attempt to make one, has a number:
// whatever comes from an older one finds another number and is ignored.
import { address } from "./address.js";
import { createClock, now } from "./clock.js";
import { hintOf, isLast } from "./ends.js";
import { bytesOf, eventReader } from "./events.js";
import { createQueue } from "./queue.js";

/** Begins a text that is gannet's own; doubled, a text of the game's. */
const MARK = "\x1e";
const CONNECT_MS = 8e3;
/** So long a connection has to hold until the pauses begin anew. */
const STABLE_MS = 15e3;
const SILENT_MS = 1e4;
const SILENT_AFTER_WAKE_MS = 3e3;
/** A timer that is so late says that the machine slept, and nothing of the connection. */
const LATE_MS = 2e3;
const TIME_EVERY_MS = 2e4;
const BACK_AFTER_MS = 3e5;
const BUFFERED_BYTES = 65536;
/** The longest that setTimeout takes. */
const LONGEST_MS = 2 ** 31 - 1;
const PAGE_EVENTS = ["online", "offline", "pagehide", "pageshow", "visibilitychange", "resume"];

const random = (most) => Math.random() * most;

/** An exception of the app's goes where uncaught ones go, and not further up here. */
const call = (f, argument) => {
  try {
    return f(argument);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
};

/** What a refusal says. */
const refusal = async (response) => ({
  status: response.status,
  text: await response.text(),
  retryAfterMs: response.headers.get("Retry-After") * 1e3 || undefined,
});

export const createClient = (url, options = {}) => {
  const transports = options.transports || ["ws", "sse", "poll"];
  const listeners = {}, timers = new Set(), worked = {};
  let state = "idle", base = url;
  // Of the time from connect() to close(), of the attempt, of its transport.
  let life, attempt = 0, abort, at = 0, transport, socket, posts, posted;
  // How often in a row: pauses, failures of this transport, ends before a welcome, 401.
  let pauses = 0, failures = 0, unwelcome = 0, denied = 0, pause, backMs = BACK_AFTER_MS;
  // Why a token is needed; when to renew it, by the wall clock.
  let needs = "connect", token, asking, renewAt = Infinity, expires, isArmed;
  let session, ticket, received = 0, openedAt, heardAt, roundTripMs;
  // Messages written, and of those the ones that the server has read.
  let sent = 0, read = 0, marks = {}, lastMark = 0, flushes = [], pumping;

  const emit = (type, event) => [...(listeners[type] || [])].forEach((f) => call(f, event));
  const queue = createQueue(options.queue, (event) => emit("drop", event));
  const [noteTime, serverTime] = createClock();
  const isOpen = () => state == "open";

  /** The last thing that a step does: a listener may close, or connect. */
  const enter = (to, more) => {
    const from = state;
    state = to;
    emit("state", { state, from, ...more });
  };

  /** A timer of the attempt: it ends with it. */
  const later = (ms, f) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      f();
    }, Math.min(ms, LONGEST_MS));
    timers.add(timer);
    return timer;
  };

  const where = (what, atOnce) => address(base, what, options.params, ticket, received, atOnce);
  const request = (what, init, atOnce) => (options.fetch || fetch)(where(what, atOnce), { cache: "no-store", ...init });

  // ---- tokens ----

  /** One call at a time, for whoever needs the token. What comes after close() is of no use. */
  const fetchToken = () => (asking ||= (async ({ signal }) => {
    try {
      const got = await (options.token.call ? options.token(needs, signal) : options.token);
      if (signal.aborted) return;
      if (got == null) return client.close();
      token = got;
      needs = 0;
      renewAt = Infinity;
    } finally {
      if (!signal.aborted) asking = 0;
    }
  })(life));

  /** Sets the time for a renewal, once it is known how long the token holds by the server's clock. */
  const armRenewal = () => {
    const time = serverTime();
    if (!expires || isArmed || !time) return;
    const mine = attempt, ms = (expires - time.unixMs) * (0.7 + random(0.1));
    isArmed = 1;
    renewAt = Date.now() + ms;
    later(ms, async () => {
      needs ||= "renew";
      try {
        await fetchToken();
        if (mine == attempt) renew();
      } catch {
        isArmed = 0;
      }
    });
  };
  const renew = () => ask({ type: "renew", token });

  // ---- an attempt ----

  const dial = () => {
    attempt++;
    abort = new AbortController();
    transport = socket = posts = pause = 0;
    later(CONNECT_MS, () => isOpen() || end({ why: "timeout" }));
    later(0, open);
    enter("connecting");
  };

  const open = async () => {
    const mine = attempt;
    try {
      if (options.token && (needs ||= Date.now() > renewAt && "renew")) {
        await fetchToken();
        if (mine != attempt) return;
      }
      transport = transports[at];
      posted = Promise.resolve();
      await { ws: overSocket, sse: overStream, poll: overPolls }[transport](mine);
    } catch (error) {
      if (mine == attempt) end(error.status ? error : { error });
    }
  };

  const overSocket = (mine) => {
    const protocols = ["gannet.v1"];
    if (token) protocols.push("gannet.token." + token);
    socket = new (options.WebSocket || WebSocket)(where("ws"), protocols);
    socket.binaryType = "arraybuffer";
    // The close event says as much. Without a listener, some WebSockets for Node throw.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => mine == attempt && end({ code, text: reason });
    socket.onmessage = ({ data }) => {
      if (mine != attempt) return;
      heardAt = now();
      if (!isOpen()) welcome(JSON.parse(data));
      else if (data[0] != MARK) take(data);
      else if (data[1] == MARK) take(data.slice(1));
      else answer(JSON.parse(data.slice(1)));
    };
  };

  const get = async (atOnce) => {
    const headers = token ? { Authorization: "Bearer " + token } : {};
    const response = await request(transport, { headers, signal: abort.signal }, atOnce);
    if (response.status != 200) throw await refusal(response);
    return response;
  };

  const overStream = async (mine) => {
    const reader = (await get()).body.getReader();
    const feed = eventReader((name, data) => {
      if (!name) take(data);
      else if (name == "binary") take(bytesOf(data));
      else {
        const json = JSON.parse(data);
        ({ welcome, own: answer, json: take, close: leave })[name]?.(json);
      }
      return mine == attempt;
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (mine != attempt) return;
      if (done) return end({ code: 1006 });
      heardAt = now();
      feed(value);
    }
  };

  const overPolls = async (mine) => {
    // The first one is not to wait: its answer is the welcome.
    for (let isFirst = true; ; isFirst = false) {
      const told = await (await get(isFirst)).json();
      if (mine != attempt) return;
      heardAt = now();
      if (isFirst || told.resumed != null) {
        welcome(told);
        // A poll's welcome does not say until when the token holds, the answer to this does.
        if (token && mine == attempt) renew();
      }
      for (const { text, data } of told.messages) mine == attempt && take(text ?? bytesOf(data));
      for (const own of told.own) mine == attempt && answer(own);
      if (told.close && mine == attempt) leave(told.close);
      if (mine != attempt) return;
    }
  };

  /** Without a WebSocket each message is a request. One after the other: their order is that of the messages. */
  const post = (body) => {
    const mine = attempt, headers = typeof body == "string" ? {} : { "Content-Type": "application/octet-stream" };
    posts++;
    posted = posted.then(async () => {
      while (mine == attempt) {
        const response = await request("send", { method: "POST", body, headers, signal: abort.signal });
        if (mine != attempt) return;
        if (response.ok) {
          read = sent;
          posts--;
          return pump();
        }
        const refused = await refusal(response);
        // It says of these that it has not taken the message.
        if (/429|503/.test(refused.status)) await new Promise((f) => later(1e3, f));
        else throw refused.status == 404 ? 0 : refused;
      }
    }).catch((error) => mine == attempt && end(error.status ? error : { code: 1006, error }));
  };

  // ---- what comes ----

  const welcome = (told) => {
    const mine = attempt, resumed = !!ticket && told.resumed != false, unconfirmed = sent - read;
    if (!resumed) received = 0;
    ({ session, resume: ticket, expires_unix_ms: expires } = told);
    worked[transport] = 1;
    failures = unwelcome = denied = isArmed = 0;
    read = sent;
    openedAt = now();
    if (!at) backMs = BACK_AFTER_MS;
    enter("open", { transport, session, user: told.user, resumed, why: told.why, unconfirmed });
    if (mine != attempt) return;
    keepTime(0);
    pump();
    if (at && ticket) {
      later(backMs, goBack);
      backMs *= 2;
    }
  };

  /** To the transport that is best, which may work by now. */
  const goBack = () => {
    at = 0;
    end({ why: "switch" }, 0);
  };

  const take = (data) => {
    received++;
    emit("message", data);
  };

  const leave = ({ code, reason }) => end({ code, text: reason });

  /** One of gannet's own messages. */
  const answer = (told) => {
    const mark = told.type == "time" && marks[told.t];
    if (mark) {
      delete marks[told.t];
      roundTripMs = now() - mark._asked;
      read = Math.max(read, mark._sent);
      noteTime(mark._asked, told.server_unix_ms);
      armRenewal();
      mark._f?.(true);
    } else if (told.type == "renewed") {
      expires = told.expires_unix_ms;
      isArmed = 0;
      armRenewal();
    } else if (told.of == "renew") isArmed = 0;
  };

  // ---- what goes ----

  const put = (data) => (socket ? socket.send(data) : post(data));
  const ask = (own) => put(MARK + JSON.stringify(own));
  const hasRoom = () => (socket ? socket.bufferedAmount < BUFFERED_BYTES : !posts);
  const write = (data) => {
    sent++;
    put(data[0] == MARK ? MARK + data : data);
  };

  /** Asks the server for its time. That shows what it has read, and whether it is there. */
  const probe = (ms, f) => {
    const asked = now();
    marks[++lastMark] = { _asked: asked, _sent: sent, _f: f };
    ask({ type: "time", t: lastMark });
    later(ms, () => heardAt < asked && (now() - asked > ms + LATE_MS ? probe(ms) : end({ why: "timeout" })));
  };
  const keepTime = (count) => {
    probe(SILENT_MS);
    later(count < 3 ? 250 : TIME_EVERY_MS, () => keepTime(count + 1));
  };

  /** Writes what waits, as far as it may. */
  const pump = () => {
    while (isOpen() && queue._list()[0] && hasRoom()) {
      const data = queue._next();
      if (data != null) write(data);
    }
    if (!isOpen()) return;
    clearTimeout(pumping);
    if (queue._list()[0]) pumping = later(50, pump);
    else flushes.splice(0).forEach((f) => probe(SILENT_MS, f));
  };

  // ---- the end of a connection ----

  const detach = (code = 3001, reason) => {
    attempt++;
    timers.forEach(clearTimeout);
    timers.clear();
    abort.abort();
    if (socket) socket.close(code, reason);
    socket = 0;
    for (const mark in marks) marks[mark]._f?.(false);
    marks = {};
    flushes.splice(0).forEach((f) => f(false));
  };

  const backOff = () => 100 + random(Math.min(3e4, 1e3 * 2 ** pauses++));

  /** Counts an end before the welcome. One that has no status says nothing but that the transport may not work here. */
  const countFailure = (status) => {
    if (++unwelcome % 3 == 0 && !transports[1]) needs ||= "expired";
    if (unwelcome > 2) base = url;
    if (status) at = failures = 0;
    else if (transport && ++failures > (worked[transport] ? 2 : 0)) {
      at = (at + 1) % transports.length;
      failures = 0;
    }
  };

  /** The connection has ended, or the attempt has failed. `ms` is how long to wait, if that is known. */
  const end = (how, ms) => {
    const { code, status, text, retryAfterMs } = how, number = code || status;
    const hint = code == 1012 && hintOf(text, where("ws"));
    if (!isOpen()) countFailure(status);
    else if (now() - openedAt > STABLE_MS) pauses = 0;
    detach();
    const wish = ms ?? (options.retry && call(options.retry, how));
    // The app may have closed.
    if (!life) return;
    if (number == 4004) ticket = 0;
    if (number == 4004 || status == 401) {
      needs = "expired";
      ms = 0;
    }
    if (wish === false || (wish == null && (isLast(number) || (status == 401 && denied++)))) return stop(how);
    let isSoft;
    if (typeof wish == "number") ms = wish;
    else if (code == 1001) ms = random(3e3);
    else if (hint) {
      ms = hint.ms;
      base = hint.to || base;
    } else if (retryAfterMs) ms = retryAfterMs + random(5e3);
    else if (code == 1013) ms = 5e3 + backOff();
    else if (ms == null) {
      ms = backOff();
      isSoft = 1;
    }
    const timer = later(ms, dial);
    pause = isSoft && timer;
    enter("waiting", { ...how, delayMs: ms });
  };

  const stop = (how) => {
    const left = queue._list();
    life.abort();
    life = asking = denied = 0;
    needs = "connect";
    enter("closed", how);
    queue._clear("closed", left);
  };

  // ---- the page ----

  const onPage = ({ type, persisted }) => {
    if (type == "pagehide") {
      if (!persisted) return;
      detach();
      enter("suspended");
    } else if (type == "pageshow") state == "suspended" && dial();
    else if (type == "offline") isOpen() && probe(SILENT_MS);
    else if (type[0] != "v" || document.visibilityState == "visible") wake(type == "online");
  };

  const wake = (isOnline) => {
    if (isOnline && at) {
      if (isOpen() && ticket) return goBack();
      at = 0;
    }
    if (isOpen()) probe(SILENT_AFTER_WAKE_MS);
    else if (pause) {
      clearTimeout(pause);
      pause = 0;
      later(random(250), dial);
    }
  };

  const client = {
    get state() { return state; },
    get session() { return session; },
    get transport() { return isOpen() ? transport : undefined; },
    get received() { return received; },
    get queued() { return queue._list().length; },
    get roundTripMs() { return roundTripMs; },
    on(type, f) {
      (listeners[type] ||= new Set()).add(f);
      return () => { listeners[type].delete(f); };
    },
    connect() {
      if (life) return;
      life = new AbortController();
      for (const type of PAGE_EVENTS) globalThis.addEventListener?.(type, onPage, { capture: true, signal: life.signal });
      dial();
    },
    close(reason = "") {
      if (!life) return;
      // Where no Close says it, a request does.
      if (ticket && !(socket && isOpen())) request("session", { method: "DELETE", keepalive: true }).catch(() => {});
      // A reason has 123 bytes at most, a character 3.
      reason = reason.slice(0, 41);
      detach(1000, reason);
      ticket = 0;
      stop({ code: 1000, text: reason });
    },
    send(data, { key, ttlMs = 3e4 } = {}) {
      if (!life) return "closed";
      if (isOpen() && !queue._list()[0] && hasRoom()) {
        write(data);
        return "sent";
      }
      if (!queue._add(data, key, ttlMs)) return "full";
      pump();
      return "queued";
    },
    flush: () => new Promise((f) => {
      if (!isOpen()) return f(false);
      flushes.push(f);
      pump();
    }),
    discard: () => queue._clear("discarded"),
    serverTime,
  };
  return client;
};
