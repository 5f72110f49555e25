// What the page knows of the server: the stream's events, put together. No document and no network is needed here.
import { Columns, lost, sum } from "./columns.js";
import { type Step, since, steps, stepsOn } from "./steps.js";
import type { StreamEvent } from "./sse.js";
import { type Finding, LIMITS, median, type Situation, verdict, type Verdict } from "./verdict.js";
import type { AppRow, BehindEvent, Change, Hello, HistoryEvent, Right, TickEvent } from "./wire.js";

export type Kind = "hello" | "history" | "tick" | "behind" | "change";
export interface Update {
  kind: Kind;
  /** The plots have another interval. */
  moved: boolean;
  restarted: boolean;
}

export const GAUGES = ["sessions", "away", "behind"] as const;
const COUNTS = ["opened", "closed", "refused", "messages_in", "pushes", "queued"] as const;
/** Columns are kept of so many apps, as the server does. */
const APPS_WITH_COLUMNS = 16;
const CHANGES = 200;

export interface SeenStep extends Step {
  column: string;
}

/** The columns whose steps are told, and how much a change has to be, by the interval. */
const STEPS: Record<string, number> = {
  sessions: 20, behind: 3, messages_out: 100, messages_in: 100, closed_too_slow: 2, refused: 5, push_to_write_p99_us: 3000,
};

export class Model {
  hello: Hello | null = null;
  tick: TickEvent | null = null;
  /** A tick has come: until then the figures are those of the hour's last 10 s, and whether the server is ready is not known. */
  live = false;
  behind: BehindEvent | null = null;
  /** The newest first. */
  changes: Change[] = [];
  columns = new Columns();
  /** The rows of the apps as of the last tick: counts of that tick. */
  apps = new Map<string, Required<AppRow>>();
  steps: SeenStep[] = [];
  #since = new Map<string, number>();
  /** What is made of the whole hour, which moves with it and not with each tick. */
  #ofHour = new Map<string, unknown>();
  #situation: Situation | null = null;

  /** Takes an event of the stream; `null` if it is none that the page knows. */
  take({ name, data }: StreamEvent): Update | null {
    const update: Update = { kind: name as Kind, moved: false, restarted: false };
    this.#situation = null;
    switch (name) {
      case "hello": update.restarted = this.#hello(JSON.parse(data) as Hello); break;
      case "history": this.#history(JSON.parse(data) as HistoryEvent); update.moved = true; break;
      case "tick": update.moved = this.#tick(JSON.parse(data) as TickEvent); break;
      case "behind": this.behind = JSON.parse(data) as BehindEvent; break;
      case "change": this.#change(JSON.parse(data) as Change); break;
      default: return null;
    }
    return update;
  }

  may(right: Right): boolean {
    const may = this.hello?.key.may ?? [];
    return may.includes("all") || may.includes(right);
  }

  /** Whether the key may do all, in every app: what /v1/admin asks for. */
  get administers(): boolean {
    return this.may("all") && this.hello?.key.apps === null;
  }

  get serverName(): string {
    return this.hello?.name ?? this.hello?.host ?? "";
  }

  get appNames(): string[] {
    return this.hello?.apps ?? [];
  }

  /** The clock of the server, as far as the last event tells. */
  get now(): number {
    return this.tick?.unix_ms ?? this.hello?.now_unix_ms ?? Date.now();
  }

  #hello(hello: Hello): boolean {
    const restarted = this.hello !== null && this.hello.started_unix_ms !== hello.started_unix_ms;
    if (restarted) {
      this.columns = new Columns();
      this.changes = [];
      this.behind = this.tick = null;
      this.live = false;
      this.#since.clear();
    }
    const known = new Set(hello.apps);
    for (const app of this.apps.keys()) if (restarted || !known.has(app)) this.apps.delete(app);
    for (const app of hello.apps) if (!this.apps.has(app)) this.apps.set(app, rowOf({}, null));
    this.hello = hello;
    return restarted;
  }

  #history(event: HistoryEvent): void {
    this.columns.start(event);
    // What was seen last may be long ago, of a tab that was hidden: what the hour ends with is newer.
    if (this.tick === null) this.tick = this.#lately(event);
    else if (event.end_unix_ms > this.tick.unix_ms) this.tick = { ...this.#lately(event), ready: this.tick.ready, why: this.tick.why, reactors: this.tick.reactors };
    this.#seeSteps(true);
  }

  /** The hour's last 10 s as a tick. */
  #lately({ end_unix_ms, every_ms }: HistoryEvent): TickEvent {
    const last = (name: string): number => this.columns.column(name).at(-1) ?? 0;
    const names = ["sessions", "away", "behind", "opened", "messages_in", "messages_out", "pushes"] as const;
    const figures = Object.fromEntries(names.map((name) => [name, last(name)])) as Record<(typeof names)[number], number>;
    return { ...figures, unix_ms: end_unix_ms, ms: every_ms, ready: true, apps: {} };
  }

  #tick(tick: TickEvent): boolean {
    this.tick = tick;
    this.live = true;
    for (const [app, row] of this.apps) this.apps.set(app, rowOf(tick.apps[app], row));
    for (const [app, row] of Object.entries(tick.apps)) if (!this.apps.has(app)) this.apps.set(app, rowOf(row, null));
    const rows = [...this.apps].slice(0, APPS_WITH_COLUMNS);
    const moved = this.columns.tick(tick, Object.fromEntries(rows) as unknown as Record<string, Record<string, number>>);
    if (moved) this.#seeSteps(false);
    return moved;
  }

  #change(change: Change): void {
    if (this.changes.some(({ number }) => number === change.number)) return;
    this.changes.unshift(change);
    this.changes.sort((a, b) => b.number - a.number);
    this.changes.length = Math.min(this.changes.length, CHANGES);
  }

  /** In an hour that has come anew, or where one interval more is whole. */
  #seeSteps(anew: boolean): void {
    this.#ofHour.clear();
    const times = this.columns.wholeTimes;
    this.steps = Object.entries(STEPS).flatMap(([column, least]) => {
      const values = this.columns.whole(column);
      const seen = anew ? steps(times, values, least) : stepsOn(times, values, least, this.steps.filter((step) => step.column === column));
      return seen.map((step) => ({ ...step, column }));
    });
  }

  /** The median of the hour by the minute. */
  usual(name: string): number {
    return this.once(`usual ${name}`, () => median(this.columns.minutes(name)));
  }

  /** A column about an hour ago: see `Columns.before`. */
  before(name: string): { value: number | null; backMs: number } {
    return this.once(`before ${name}`, () => this.columns.before(name));
  }

  /** What `make` makes of the hour without the interval that is growing: once, until another one is whole. */
  once<T>(name: string, make: () => T): T {
    if (!this.#ofHour.has(name)) this.#ofHour.set(name, make());
    return this.#ofHour.get(name) as T;
  }

  /** Push-to-write at p99 over the hour; `null` if nothing was pushed. */
  #usualP99(): number | null {
    return this.once("usual p99", () => {
      const hour = this.columns.whole("push_to_write_p99_us").filter((value) => value !== null);
      return hour.length ? median(hour) : null;
    });
  }

  /** Push-to-write at p99 now: the middle one of the last three intervals that had any. */
  p99(): number | null {
    const recent = this.columns.column("push_to_write_p99_us").slice(-3).filter((value) => value !== null);
    return recent.length ? median(recent) : null;
  }

  /** The figures that the verdict is about. */
  situation(): Situation {
    this.#situation ??= this.#judge();
    return this.#situation;
  }

  #judge(): Situation {
    const { tick, columns, hello } = this;
    const deliveries = Object.fromEntries(["queued", "dropped", "expired", "closed"].map((outcome) => [outcome, columns.minute(`deliveries.${outcome}`)]));
    const ends = (hello?.certificates ?? []).map(({ not_after_unix_ms }) => not_after_unix_ms);
    return {
      ready: tick?.ready ?? true,
      why: tick?.why ?? null,
      sessions: tick?.sessions ?? 0,
      maxSessions: hello?.bounds?.max_sessions ?? 0,
      acceptErrors: columns.minute("accept_errors"),
      mailboxOverflow: tick?.mailbox_overflow ?? 0,
      mailboxDropped: columns.minute("mailbox_dropped"),
      relieved: columns.minute("relieved"),
      behind: tick?.behind ?? 0,
      tooSlow: columns.minute("closed_too_slow"),
      tooSlowMedian: this.usual("closed_too_slow"),
      refused: columns.minute("refused"),
      refusedMedian: this.usual("refused"),
      p99: this.p99(),
      p99Median: this.#usualP99(),
      notDelivered: lost(deliveries),
      due: sum(deliveries),
      busy: tick?.reactors ? tick.reactors.busy.map((_, at) => median(columns.column(`reactor.${at}`).slice(-3).filter((value) => value !== null))) : [],
      certificateMs: ends.length ? Math.min(...ends) - this.now : null,
    };
  }

  verdict(): Verdict {
    return verdict(this.situation());
  }

  /** Since when a finding holds: as far as the figures of the hour tell, else since the page saw it first. */
  sinceWhen(finding: Finding, situation: Situation): number {
    const { columns } = this;
    const key = `${finding.topic}${finding.reactor ?? ""}`;
    if (!this.#since.has(key)) this.#since.set(key, this.now);
    const beyond = (name: string, limit: number) => since(columns.times, [...columns.column(name)], limit);
    const seen: Partial<Record<Finding["topic"], () => number | null>> = {
      behind: () => beyond("behind", LIMITS.behind * situation.sessions),
      tooSlow: () => beyond("closed_too_slow", (LIMITS.times * situation.tooSlowMedian) / 6),
      refused: () => beyond("refused", (LIMITS.times * situation.refusedMedian) / 6),
      p99: () => beyond("push_to_write_p99_us", Math.max(LIMITS.p99Us, LIMITS.times * (situation.p99Median ?? 0))),
      reactor: () => beyond(`reactor.${finding.reactor}`, LIMITS.busy),
    };
    return seen[finding.topic]?.() ?? this.#since.get(key) ?? this.now;
  }

  /** Forgets since when the findings were seen that are no more. */
  forget(findings: Finding[]): void {
    const held = new Set(findings.map(({ topic, reactor }) => `${topic}${reactor ?? ""}`));
    for (const key of this.#since.keys()) if (!held.has(key)) this.#since.delete(key);
  }
}

/** A row with all its fields: what a row lacks is 0; where there is no row, the gauges are as before. */
function rowOf(row: AppRow | undefined, before: Required<AppRow> | null): Required<AppRow> {
  const gauges = Object.fromEntries(GAUGES.map((name) => [name, row ? (row[name] ?? 0) : (before?.[name] ?? 0)]));
  const counts = Object.fromEntries(COUNTS.map((name) => [name, row?.[name] ?? 0]));
  return { ...gauges, ...counts } as Required<AppRow>;
}
