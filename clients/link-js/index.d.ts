// The types of the client of gannet's link. ../../docs/clients.md describes it, ../../docs/link.md the commands, replies and events.

export interface Options {
  /** One of `backend.keys`. */
  key?: string;
  /** The app of commands that name none; `default` without. */
  app?: string;
  /** Of `https:` and `wss:` addresses: what `node:tls` takes, as `{ ca }`. */
  tls?: object;
  /** Commands that are written and not answered: 1024. */
  window?: number;
  /** Beyond it, so many commands and bytes wait to be written: 65536 and 16 MiB. Then a command is refused with LinkBusy. */
  waitingCommands?: number;
  waitingBytes?: number;
  /** Events that have come and were not asked for: at 4096 of them, or 16 MiB, reading stops. */
  heldEvents?: number;
  heldBytes?: number;
  /** Of the largest message that is taken from the server: 64 MiB. */
  messageBytes?: number;
  /** How long a command waits where there is no connection: 10 s. */
  patienceMs?: number;
  /** For an upgrade: 8 s. */
  connectMs?: number;
  /** After so long without anything from the server it is pinged, and after as long again the connection is given up: 10 s. */
  silenceMs?: number;
  /** How often a stream whose events are not asked for tells the server that it is there: 1 s. */
  pausedMs?: number;
  /** How long the answer to a Close is waited for: 1 s. */
  closeMs?: number;
  /** Pauses between attempts: leastMs + random × min(mostMs, firstMs × 2ⁿ), where n is 0 only after stableMs of a connection. */
  backoff?: { leastMs?: number; firstMs?: number; mostMs?: number; stableMs?: number };
  /** The id of the first command: 1. */
  firstId?: number;
}

/** gannet has refused a command, or the link (401): `code` is one of docs/http-api.md, or `http_` and the status of a proxy. */
export class LinkError extends Error {
  readonly code: string;
  constructor(error: { code: string; message: string }, options?: ErrorOptions);
}
/** The reply to a command will not come. `maybeDone`: it was written, so perhaps it was done. It is never sent again. */
export class LinkLost extends Error {
  readonly maybeDone: boolean;
  constructor(message: string, maybeDone: boolean, options?: ErrorOptions);
}
/** As many commands wait as may: await `drain()`. */
export class LinkBusy extends Error {}

export type Names = string | string[];
export interface Selectors { session?: Names; user?: Names; group?: Names; tag?: Names }
export interface Target extends Selectors { all?: true; allOf?: Selectors | Selectors[] }
export interface Common {
  app?: string;
  scope?: "cluster" | "node";
  /** Where it is aborted the command is not waited for any more; if it was written, it is perhaps done. */
  signal?: AbortSignal;
}
export interface Push extends Common {
  ttlMs?: number; key?: string; class?: "normal" | "urgent" | "droppable"; except?: string | Selectors;
  receipt?: "none" | "queued" | "written"; names?: boolean;
}
export interface Missing { partial?: true; missing?: string[] }
export interface Receipt extends Missing {
  matched: number; queued: number; replaced: number; dropped: number; expired: number; offline: number;
  written?: number; closed?: number; pending?: number; unreached?: number; away?: number; offset?: number; epoch?: string;
  [further: string]: unknown;
}
export interface Changed extends Missing { sessions: number; unknown?: number }
export interface Kept extends Missing {
  epoch: string | null; offset: number; complete: boolean;
  messages: { offset: number; key?: string; text?: string; data?: string }[];
}
export type Kind = "open" | "message" | "close" | "join" | "leave" | "away" | "back" | "tag" | "untag" | "bind" | "user_online"
  | "user_offline" | "expiring" | "assigned" | "unassigned";
/** One event, as docs/link.md has it. */
export interface Event {
  event: Kind | "gap" | "session" | "synced" | (string & {});
  session?: string; app?: string; user?: string | null; text?: string; data?: string; group?: string; groups?: string[];
  tag?: string; tags?: string[]; remote?: string; code?: number; reason?: string; replaces?: string; n?: number;
  [further: string]: unknown;
}
export interface Place { resume: string; received: number }
export interface Listen {
  share?: string; with?: ("groups" | "tags" | "claims" | "params" | "app")[]; name?: string; snapshot?: boolean; numbers?: boolean;
  /** Of which nodes of a cluster it hears: of the one that it is connected to, unless this is "cluster". */
  scope?: "cluster" | "node";
  /** Where a stream of another process was: it goes on there. */
  resume?: Place;
}
export interface EventStream extends AsyncIterableIterator<Event> {
  /** Where it is: the events before it have been read. Both it and the key are secrets. */
  readonly place: Place | undefined;
  /** When the server listens for it: whatever happens from then on is an event. */
  ready(): Promise<void>;
  /** Says goodbye: sessions of the share go to its other links. */
  close(): Promise<void>;
}

export class Link {
  constructor(url: string, options?: Options);
  /** Sends a message to sessions: a text, bytes, or any other value as JSON. */
  push(to: Target, message: string | ArrayBuffer | ArrayBufferView | object | number | boolean, options?: Push): Promise<Receipt>;
  /** Events from now on, on a connection of their own. One counts as read when the next one is asked for. */
  events(kinds: Kind[], options?: Listen): EventStream;
  /** Any command, with its fields as docs/link.md has them. */
  command(command: { op: string; [field: string]: unknown }, options?: { signal?: AbortSignal }): Promise<any>;
  /** When at most half of what may wait waits. */
  drain(): Promise<void>;
  /** Says goodbye. What is not answered fails with LinkLost, and streams end. */
  close(): Promise<void>;
  // made of docs/openapi.json by generate.mjs
  /** The apps that the key may name, in the order of their names, page by page, and how many sessions each has. */
  apps(fields?: { after?: string; limit?: number; prefix?: string; } & Common): Promise<Record<string, unknown>>;
  /** Closes the sessions of a user or an address, and lets no new ones in. */
  ban(fields?: { address?: string; forMs?: number; reason?: string; user?: string; } & Common): Promise<Changed>;
  /** The bans of an app that hold, page by page. */
  bans(fields?: { after?: string; limit?: number; } & Common): Promise<Record<string, unknown>>;
  /** A session gets another user, or none. */
  bind(fields: { session: string; user: string | null; } & Common): Promise<Changed>;
  /** How many sessions a user, a group or a tag has, or the app, and of how many users. */
  count(fields?: { group?: string; tag?: string; user?: string; } & Common): Promise<{ sessions: number; users: number; anonymous: number }>;
  /** Every member leaves a group, and what it remembers is forgotten. */
  destroy(fields: { group: string; } & Common): Promise<Changed>;
  /** A group forgets the newest push of a key, or all that it remembers: then its numbers begin anew. */
  forget(fields: { group: string; key?: string; } & Common): Promise<{ forgotten: number }>;
  /** The groups that have members, in the order of their names, page by page, and how many each has. */
  groups(fields?: { after?: string; limit?: number; prefix?: string; } & Common): Promise<Record<string, unknown>>;
  /** Sessions join a group. */
  join(fields: { after?: number; epoch?: string; group: string | string[]; last?: number; session?: string | string[]; sticky?: boolean; user?: string | string[]; } & Common): Promise<Changed & { epoch?: string | null; offset?: number; complete?: boolean }>;
  /** Closes sessions. */
  kick(fields?: { code?: number; reason?: string; session?: string | string[]; user?: string | string[]; } & Common): Promise<Changed>;
  /** The newest push of each key that a group keeps. */
  latest(fields: { group: string; } & Common): Promise<Kept>;
  /** Sessions leave a group. */
  leave(fields: { group: string | string[]; session?: string | string[]; user?: string | string[]; } & Common): Promise<Changed>;
  /** Describes the sessions of a user, a group or a tag, or of the app, page by page: `GET /v1/sessions`. */
  list(fields?: { after?: string; behind?: boolean; group?: string; limit?: number; tag?: string; user?: string; } & Common): Promise<Record<string, unknown>>;
  /** Every member leaves one group and is in another; or some of the members. */
  move(fields: { group: string; session?: string | string[]; to: string; user?: string | string[]; } & Common): Promise<Changed>;
  /** Who is in a group: its users with their sessions, page by page, and how many. */
  presence(fields: { after?: string; group: string; limit?: number; members?: boolean; } & Common): Promise<Record<string, unknown>>;
  /** The pushes that the log of a group keeps, page by page. */
  readLog(fields: { after?: number; epoch?: string; group: string; limit?: number; } & Common): Promise<Kept>;
  /** The sessions of a share that no route binds are divided evenly anew among its links. */
  rebalance(fields: { share: string; } & Common): Promise<Changed>;
  /** A session goes on under another token of its user, and ends when that does; or it ends when it is told. */
  renew(fields: { expiresUnixMs?: number; forMs?: number; session: string; token?: string; } & Common): Promise<{ expires_unix_ms: number }>;
  /** The events of sessions go to one link of a share from now on. */
  route(fields: { group?: string; link: string | null; session?: string; user?: string; } & Common): Promise<Changed>;
  /** Describes a session. */
  session(fields: { session: string; } & Common): Promise<Record<string, unknown>>;
  /** Sessions are in exactly these groups, of those that begin with `prefix`. */
  setGroups(fields: { groups: string | string[]; prefix?: string; session?: string | string[]; user?: string | string[]; } & Common): Promise<Changed>;
  /** Sessions have exactly these tags, of those that begin with `prefix`. */
  setTags(fields: { prefix?: string; session?: string | string[]; tags: string | string[]; user?: string | string[]; } & Common): Promise<Changed>;
  /** What is counted of one app, over all reactors. */
  stats(fields?: Common): Promise<Record<string, number>>;
  /** Sessions get a tag. */
  tag(fields: { session?: string | string[]; tag: string; user?: string | string[]; } & Common): Promise<Changed>;
  /** Takes a ban back. */
  unban(fields?: { address?: string; user?: string; } & Common): Promise<{ unbanned: number }>;
  /** Sessions lose a tag. */
  untag(fields: { session?: string | string[]; tag: string; user?: string | string[]; } & Common): Promise<Changed>;
  /** The users who have sessions, in the order of their names, page by page, and how many each has. */
  users(fields?: { after?: string; limit?: number; prefix?: string; } & Common): Promise<Record<string, unknown>>;
  // end of what is made
}
