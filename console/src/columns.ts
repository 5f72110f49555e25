// The hour, in columns of 10 s each: as the server sends it at first, and as the ticks go on with it.
import type { AppHistory, Counts, HistoryEvent, TickEvent } from "./wire.js";

export const KEPT = 360;

type Kind = "gauge" | "count" | "peak";

/** How the ticks of one interval come together in each column: the last one, the sum, or the largest. */
const KINDS: Record<string, Kind> = {
  sessions: "gauge", away: "gauge", behind: "gauge", outbox_messages: "gauge", outbox_bytes: "gauge",
  opened: "count", closed: "count", closed_too_slow: "count", refused: "count", messages_in: "count", messages_out: "count",
  bytes_in: "count", bytes_out: "count", pushes: "count", queued: "count", mailbox_dropped: "count", accept_errors: "count", relieved: "count",
  push_to_write_p50_us: "peak", push_to_write_p99_us: "peak", push_to_write_p999_us: "peak", turn_p99_us: "peak", busy: "peak",
};

const OUTCOMES = ["queued", "written", "replaced", "dropped", "expired", "offline", "closed"];

export const sum = (counts: Counts | undefined): number => Object.values(counts ?? {}).reduce((total, n) => total + n, 0);

/** Of deliveries that were due, what did not arrive, without those who are offline. */
export function lost(deliveries: Counts | undefined): number {
  const { dropped = 0, expired = 0, closed = 0 } = deliveries ?? {};
  return dropped + expired + closed;
}

/** The values of a tick by column. */
function valuesOf(tick: TickEvent): Record<string, number | null> {
  const values: Record<string, number | null> = {
    sessions: tick.sessions, away: tick.away, behind: tick.behind, opened: tick.opened, messages_in: tick.messages_in, pushes: tick.pushes,
  };
  if (tick.reactors === undefined) return values;
  const measured = tick.push_to_write && tick.push_to_write.count > 0 ? tick.push_to_write : null;
  Object.assign(values, {
    outbox_messages: tick.outbox_messages ?? 0, outbox_bytes: tick.outbox_bytes ?? 0, closed: sum(tick.closed), closed_too_slow: tick.closed?.["4003"] ?? 0,
    refused: sum(tick.refused), messages_out: tick.messages_out ?? 0, bytes_in: tick.bytes_in ?? 0, bytes_out: tick.bytes_out ?? 0,
    push_to_write_p50_us: measured?.p50_us ?? null, push_to_write_p99_us: measured?.p99_us ?? null, push_to_write_p999_us: measured?.p999_us ?? null,
    accept_errors: tick.accept_errors ?? 0, relieved: tick.relieved ?? 0, mailbox_dropped: tick.dropped?.mailbox ?? 0,
    turn_p99_us: tick.turn?.p99_us ?? null, busy: Math.max(0, ...tick.reactors.busy),
  });
  for (const outcome of OUTCOMES) values[`deliveries.${outcome}`] = tick.deliveries?.[outcome] ?? 0;
  tick.reactors.busy.forEach((busy, at) => (values[`reactor.${at}`] = busy));
  return values;
}

function kindOf(name: string): Kind {
  if (name.startsWith("deliveries.")) return "count";
  if (name.startsWith("reactor.")) return "peak";
  return KINDS[name.replace(/^app\..*\./, "")] ?? "gauge";
}

export class Columns {
  everyMs = 10_000;
  /** The end of each interval. */
  times: number[] = [];
  #columns = new Map<string, (number | null)[]>();
  /** Whether the last interval is still growing. */
  #open = false;
  /** How much of the first interval after the server's hour the ticks tell of; `null` when it is over. */
  #first: number | null = null;

  /** The server's own hour takes the place of what there was, except of what the server does not keep. */
  start(event: HistoryEvent): void {
    const old = { times: this.times, columns: this.#columns };
    const columns = new Map<string, (number | null)[]>();
    const put = (name: string, values: unknown, zeroIsNone = false) => {
      if (Array.isArray(values)) columns.set(name, zeroIsNone ? values.map((value: number) => (value === 0 ? null : value)) : values.slice());
    };
    for (const name of Object.keys(KINDS)) put(name, event[name], name.includes("_us"));
    for (const outcome of OUTCOMES) put(`deliveries.${outcome}`, event.deliveries?.[outcome]);
    event.reactors_busy?.forEach((column, at) => put(`reactor.${at}`, column));
    for (const [app, history] of Object.entries(event.apps ?? {})) {
      for (const [name, values] of Object.entries(history as AppHistory)) put(`app.${app}.${name}`, values);
    }
    const length = Math.max(0, ...[...columns.values()].map(({ length }) => length));
    this.everyMs = event.every_ms;
    this.times = Array.from({ length }, (_, at) => event.end_unix_ms - (length - 1 - at) * event.every_ms);
    for (const [name, values] of old.columns) {
      if (!columns.has(name)) columns.set(name, this.#moved(old.times, values));
    }
    this.#columns = columns;
    this.#open = false;
    this.#first = 0;
  }

  /** A column that the server does not keep, at the new times. */
  #moved(times: number[], values: (number | null)[]): (number | null)[] {
    let from = 0;
    return this.times.map((at) => {
      while (from < times.length && (times[from] as number) < at - this.everyMs / 2) from += 1;
      return (times[from] ?? Infinity) <= at + this.everyMs / 2 ? (values[from] ?? null) : null;
    });
  }

  /** Goes on with a tick, and says whether an interval has been completed by it. */
  tick(tick: TickEvent, apps: Record<string, Record<string, number>>): boolean {
    const last = this.times.at(-1);
    const isNew = !this.#open || last === undefined || tick.unix_ms > last;
    if (isNew) {
      this.#makeWhole();
      this.times.push(last !== undefined && tick.unix_ms - last < 2 * this.everyMs ? last + this.everyMs : tick.unix_ms + this.everyMs - tick.ms);
      this.#open = true;
    }
    if (this.#first !== null) this.#first += tick.ms;
    for (const [name, value] of Object.entries(valuesOf(tick))) this.#add(name, value);
    for (const [app, row] of Object.entries(apps)) for (const [name, value] of Object.entries(row)) this.#add(`app.${app}.${name}`, value);
    if (this.times.length > KEPT) this.times.shift();
    for (const column of this.#columns.values()) {
      while (column.length < this.times.length) column.push(null);
      if (column.length > this.times.length) column.splice(0, column.length - this.times.length);
    }
    return isNew;
  }

  /** A stream begins within an interval: what it has counted in the rest of it stands for all of it, as there would be a dip else. */
  #makeWhole(): void {
    if (!this.#open) return;
    const seen = this.#first ?? this.everyMs;
    this.#first = null;
    if (seen >= this.everyMs) return;
    for (const [name, column] of this.#columns) {
      const last = column.at(-1);
      if (last && kindOf(name) === "count") column[column.length - 1] = Math.round((last * this.everyMs) / seen);
    }
  }

  #add(name: string, value: number | null): void {
    let column = this.#columns.get(name);
    if (!column) {
      column = Array<number | null>(this.times.length - 1).fill(null);
      this.#columns.set(name, column);
    }
    const at = this.times.length - 1;
    while (column.length < at) column.push(null);
    const before = column[at] ?? null;
    const kind = kindOf(name);
    if (value === null || before === null || kind === "gauge") column[at] = value ?? before;
    else column[at] = kind === "count" ? before + value : Math.max(before, value);
  }

  column(name: string): readonly (number | null)[] {
    return this.#columns.get(name) ?? [];
  }

  /** A column of counts by the second. The interval that is growing is not there: it is not whole. */
  rates(name: string): (number | null)[] {
    return this.whole(name).map((value) => (value === null ? null : (value * 1000) / this.everyMs));
  }

  /** A column without the interval that is growing. */
  whole(name: string): (number | null)[] {
    const column = this.column(name);
    return this.#open ? column.slice(0, -1) : [...column];
  }

  /** How many there were in the last minute, the interval that is growing included. */
  minute(name: string): number {
    return this.column(name).slice(-6).reduce<number>((total, value) => total + (value ?? 0), 0);
  }

  /** How many there were in each whole minute, the newest last. */
  minutes(name: string): number[] {
    const column = this.whole(name);
    const first = column.length % 6;
    return Array.from({ length: Math.floor(column.length / 6) }, (_, at) =>
      column.slice(first + at * 6, first + at * 6 + 6).reduce<number>((total, value) => total + (value ?? 0), 0));
  }

  get wholeTimes(): number[] {
    return this.#open ? this.times.slice(0, -1) : this.times;
  }

  /** The mean of the oldest minute that is known, if the hour reaches back at least ten minutes; and how far back that is. */
  before(name: string): { value: number | null; backMs: number } {
    const column = this.whole(name);
    const first = column.findIndex((value) => value !== null);
    const oldest = column.slice(first < 0 ? column.length : first).slice(0, 6).filter((value) => value !== null);
    const backMs = (column.length - Math.max(first, 0)) * this.everyMs;
    if (oldest.length === 0 || backMs < 600_000) return { value: null, backMs };
    return { value: oldest.reduce((total, value) => total + value, 0) / oldest.length, backMs };
  }
}
