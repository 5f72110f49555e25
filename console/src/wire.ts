// What the server sends, as docs/http-api.md has it. Fields that a key limited to apps does not get are optional.

export type Right = "read" | "push" | "all";

export interface Hello {
  host: string;
  node: number;
  name: string | null;
  version: string;
  pid: number;
  started_unix_ms: number;
  process_started_unix_ms: number;
  now_unix_ms: number;
  reactors?: number;
  cluster: boolean;
  scope: "server" | "apps";
  apps: string[];
  bounds?: Record<string, number>;
  certificates?: { port: string; not_after_unix_ms: number }[];
  key: { name: string | null; may: Right[]; apps: string[] | null };
}

export type Column = number[];

export interface AppHistory {
  sessions?: Column;
  [column: string]: Column | undefined;
}

export interface HistoryEvent {
  every_ms: number;
  end_unix_ms: number;
  apps?: Record<string, AppHistory>;
  deliveries?: Record<string, Column>;
  /** Empty where an earlier version kept the row. */
  reactors_busy?: (number | null)[][];
  [column: string]: unknown;
}

export type Counts = Record<string, number>;

export interface Percentiles {
  count: number;
  p50_us: number;
  p99_us: number;
  p999_us: number;
}

export interface AppRow {
  sessions?: number;
  away?: number;
  behind?: number;
  opened?: number;
  closed?: number;
  refused?: number;
  messages_in?: number;
  pushes?: number;
  queued?: number;
}

export interface TickEvent {
  unix_ms: number;
  ms: number;
  ready: boolean;
  why?: string;
  sessions: number;
  away: number;
  behind: number;
  opened: number;
  messages_in: number;
  pushes: number;
  users?: number;
  groups?: number;
  links?: number;
  links_away?: number;
  outbox_messages?: number;
  outbox_bytes?: number;
  mailbox_messages?: number;
  mailbox_overflow?: number;
  closed?: Counts;
  refused?: Counts;
  messages_out?: number;
  bytes_in?: number;
  bytes_out?: number;
  deliveries?: Counts;
  dropped?: Counts;
  accept_errors?: number;
  relieved?: number;
  push_to_write?: Percentiles;
  turn?: Percentiles;
  reactors?: { sessions: number[]; busy: number[]; turn_p99_us: number[] };
  apps: Record<string, AppRow>;
}

export interface BehindRow {
  session: string;
  app: string;
  user: string | null;
  groups: string[];
  groups_more: number;
  queued_messages: number;
  queued_bytes: number;
  behind_since_unix_ms: number;
  round_trip_us: number | null;
  reactor: number;
}

export interface BehindEvent {
  unix_ms: number;
  behind: number;
  sessions: BehindRow[];
}

export interface Change {
  number: number;
  at_unix_ms: number;
  key: string | null;
  remote: string | null;
  op: string;
  app: string | null;
  target: string | null;
  result: string;
  sessions?: number;
  changes?: { key: string; old: string | null; new: string | null }[];
}

export interface Session {
  session: string;
  app: string;
  user: string | null;
  groups: string[];
  tags: string[];
  remote: string;
  since_unix_ms: number;
  queued_messages: number;
  queued_bytes: number;
  bytes_in: number;
  bytes_out: number;
  round_trip_us: number | null;
  reactor?: number;
  behind_since_unix_ms?: number | null;
  away?: boolean;
  claims?: Record<string, unknown>;
  params?: Record<string, unknown>;
}

/** What an answer of a cluster has if nodes did not answer in time. */
export interface Partial {
  partial?: boolean;
  missing?: string[];
}

export interface SessionList extends Partial {
  count: number;
  sessions: Session[];
  next: string | null;
}

export interface Receipt extends Partial {
  matched: number;
  queued: number;
  replaced: number;
  dropped: number;
  expired: number;
  offline: number;
  [count: string]: unknown;
}
