/** What can be sent. */
export type Data = string | ArrayBuffer | ArrayBufferView;
export type Transport = "ws" | "sse" | "poll";
export type State = "idle" | "connecting" | "open" | "waiting" | "suspended" | "closed";

export interface Options {
  /**
   * The player's token, or what fetches one: `null` if the player is logged out, which closes the client. Never called twice at
   * once; `signal` is aborted by `close()`.
   */
  token?:
    | string
    | ((why: "connect" | "expired" | "renew", signal: AbortSignal) => string | null | Promise<string | null>);
  /** Parameters of the query, without secrets: `user`, `group`, `tag`. With a token the server refuses them. */
  params?: Record<string, string>;
  /** Those that may be used, the best first: `["ws", "sse", "poll"]` if nothing else is said. */
  transports?: Transport[];
  /** What waits to be sent, at most: 64 messages and 65,536 bytes (of a string, its length). */
  queue?: { messages?: number; bytes?: number };
  /** Decides instead of the client whether to come back: `false` stops, a number waits (ms), `true` waits as after a failure. */
  retry?: (end: End) => boolean | number | undefined;
  /** Where there is none, as in Node 18 and 20: a class with the interface of browsers, such as that of the package `ws`. */
  WebSocket?: unknown;
  fetch?: typeof fetch;
}

/** How a connection, or the attempt to make one, has ended. */
export interface End {
  /** The code of the Close; 1006 if there was none. */
  code?: number;
  /** The status of the response. */
  status?: number;
  /** The reason of the Close, or the body of the response. */
  text?: string;
  /** `"timeout"`: no welcome in 8 s, or nothing after a question. `"switch"`: to a better transport. With "open": why not resumed. */
  why?: string;
  /** What was thrown. */
  error?: unknown;
  /** What the response's `Retry-After` says. */
  retryAfterMs?: number;
}

export interface Change extends End {
  state: State;
  from: State;
  /** With "waiting": until the next attempt. */
  delayMs?: number;
  /** From here on: with "open". */
  transport?: Transport;
  session?: string;
  /** `null` if the session has none; not known of polls. */
  user?: string | null;
  /** Whether it is the session that was there before, and nothing has been missed. */
  resumed?: boolean;
  /** Messages that were sent before, and that the server perhaps never read. */
  unconfirmed?: number;
}

export interface Events {
  message: string | ArrayBuffer;
  state: Change;
  /** A message that will not be sent. */
  drop: { data: Data; key?: string; why: "replaced" | "expired" | "discarded" | "closed" };
}

export interface Client {
  readonly state: State;
  /** Of the last welcome. */
  readonly session?: string;
  /** While open. */
  readonly transport?: Transport;
  /** Messages received in this session. */
  readonly received: number;
  /** Messages that wait to be sent. */
  readonly queued: number;
  readonly roundTripMs?: number;
  /** Returns what removes it. Adding one twice keeps one. */
  on<T extends keyof Events>(type: T, listener: (event: Events[T]) => void): () => void;
  /** Begins, also after the end. Does nothing while it is under way. */
  connect(): void;
  /** Ends the session. Of the reason, the first 41 characters are sent. */
  close(reason?: string): void;
  /** "closed" before `connect()` and after the end; "full": it was not taken. */
  send(data: Data, options?: { key?: string; ttlMs?: number }): "sent" | "queued" | "full" | "closed";
  /** True once the server has read all that was sent before; false if the connection ends before that, or there is none. */
  flush(): Promise<boolean>;
  /** Empties the queue. */
  discard(): void;
  /** The server's clock, which is off by no more than `errorMs`; `null` while it is not known. */
  serverTime(): { unixMs: number; errorMs: number } | null;
}

/** Makes a client, without any effect yet. The path of `url` ends with `/ws` or `/ws/{app}`. */
export function createClient(url: string, options?: Options): Client;
