// What the first heading says: whether players get in, and who suffers. A pure function of the figures, so that tables can test it.
import { count, digits, percent, plural, span } from "./format.js";

export interface Situation {
  ready: boolean;
  /** Why it is not ready: `draining`, `cluster`, or what the server says. */
  why: string | null;
  sessions: number;
  /** The most sessions that the server takes, or 0: no bound. */
  maxSessions: number;
  /** In the last minute. */
  acceptErrors: number;
  mailboxOverflow: number;
  mailboxDropped: number;
  relieved: number;
  /** Sessions that wait for their sockets now. */
  behind: number;
  /** A minute, now, and the median of the hour. */
  tooSlow: number;
  tooSlowMedian: number;
  refused: number;
  refusedMedian: number;
  /** Push-to-write, µs; `null` if nothing was pushed. */
  p99: number | null;
  p99Median: number | null;
  /** Of what was due in the last minute, without `offline`: what was not delivered. */
  notDelivered: number;
  due: number;
  /** The share of its time that each reactor is busy. */
  busy: number[];
  /** Until the certificate ends, or `null` without one. */
  certificateMs: number | null;
}

export type Level = "well" | "look" | "act";

export type Topic =
  | "ready" | "accept" | "overflow" | "mailbox" | "relieved" | "full"
  | "behind" | "tooSlow" | "refused" | "p99" | "notDelivered" | "reactor" | "certificate";

export interface Finding {
  topic: Topic;
  level: Exclude<Level, "well">;
  /** What stands out, and the rest of the sentence. */
  lead: string;
  rest: string;
  /** Of a finding about one reactor. */
  reactor?: number;
}

export interface Verdict {
  level: Level;
  heading: string;
  /** Those that are shown. */
  findings: Finding[];
  all: Finding[];
}

export const LIMITS = {
  full: 0.98,
  behind: 0.005,
  times: 3,
  p99Us: 5_000,
  notDelivered: 0.001,
  busy: 0.8,
  certificateMs: 14 * 86_400_000,
  findings: 3,
} as const;

const NOT_READY: Record<string, string> = {
  draining: "it is being drained",
  cluster: "it does not hear the cluster that it needs",
};

function toAct(s: Situation): Finding[] {
  const found: Finding[] = [];
  const act = (topic: Topic, lead: string, rest: string) => found.push({ topic, level: "act", lead, rest });
  if (!s.ready) act("ready", "New players are refused", `: ${NOT_READY[s.why ?? ""] ?? s.why ?? "the server is not ready"}`);
  if (s.acceptErrors > 0) act("accept", `${plural(s.acceptErrors, "connection")} could not be accepted`, " in the last minute: see the log for the reason");
  if (s.maxSessions > 0 && s.sessions >= LIMITS.full * s.maxSessions) {
    act("full", `${percent(s.sessions / s.maxSessions)} % of all places are taken`, `: ${count(s.sessions)} of ${count(s.maxSessions)} sessions`);
  }
  if (s.mailboxOverflow > 0) act("overflow", "A reactor's mailbox is full", `: ${plural(s.mailboxOverflow, "message")} waited beside it in the last minute`);
  if (s.mailboxDropped > 0) act("mailbox", `${plural(s.mailboxDropped, "message")} did not reach a reactor`, " in the last minute: its mailbox was full");
  if (s.relieved > 0) act("relieved", `${plural(s.relieved, "session")} closed to free memory`, " in the last minute: the queues of all took too much");
  return found;
}

/** More than three times what is usual; where nothing is usual, more than one a minute. */
const unusual = (now: number, median: number): boolean => now > Math.max(LIMITS.times * median, 1);

function atMedian(median: number): string {
  return median === 0 ? "usually none" : `usually ${digits(median)}`;
}

/** People first, then what may be the cause, then what the figures show anyway. */
function toLookAt(s: Situation): Finding[] {
  const found: Finding[] = [];
  const look = (topic: Topic, lead: string, rest: string, more = {}) => found.push({ topic, level: "look", lead, rest, ...more });
  if (s.sessions > 0 && s.behind > LIMITS.behind * s.sessions) {
    look("behind", s.behind === 1 ? "1 session is behind" : `${count(s.behind)} sessions are behind`, ", " + `${percent(s.behind / s.sessions)} % of all`);
  }
  if (unusual(s.tooSlow, s.tooSlowMedian)) look("tooSlow", `${digits(s.tooSlow)} a minute closed with 4003`, `: their queue was full; ${atMedian(s.tooSlowMedian)}`);
  const most = s.busy.reduce((at, busy, reactor) => (busy > (s.busy[at] ?? 0) ? reactor : at), 0);
  if ((s.busy[most] ?? 0) > LIMITS.busy) {
    const others = s.busy.filter((_, reactor) => reactor !== most);
    const mean = others.reduce((sum, busy) => sum + busy, 0) / others.length;
    look("reactor", `Reactor ${most} is ${percent(s.busy[most] ?? 0)} % busy`, others.length ? `, the ${others.length === 1 ? "other" : "others"} ${percent(mean)} %` : "", { reactor: most });
  }
  if (unusual(s.refused, s.refusedMedian)) look("refused", `${digits(s.refused)} a minute refused`, `; ${atMedian(s.refusedMedian)}`);
  if (s.p99 !== null && s.p99 > LIMITS.p99Us && s.p99 > LIMITS.times * (s.p99Median ?? 0)) {
    look("p99", `Push to write takes ${digits(s.p99 / 1000)} ms`, s.p99Median === null ? " at p99" : ` at p99; ${digits(s.p99Median / 1000)} ms is usual`);
  }
  if (s.due > 0 && s.notDelivered > LIMITS.notDelivered * s.due) {
    look("notDelivered", `${percent(s.notDelivered / s.due)} % was not delivered`, ` in the last minute: ${plural(s.notDelivered, "message")} of ${count(s.due)}`);
  }
  if (s.certificateMs !== null && s.certificateMs < LIMITS.certificateMs) {
    const over = s.certificateMs <= 0;
    look("certificate", over ? "The certificate has expired" : `The certificate expires in ${span(s.certificateMs)}`, over ? ": players who connect anew fail" : "");
  }
  return found;
}

/** Who gets in. */
function entry(s: Situation): string {
  if (!s.ready) return "Players do not get in.";
  if (s.acceptErrors > 0) return "Some players do not get in.";
  if (s.maxSessions > 0 && s.sessions >= s.maxSessions) return "The server is full: players do not get in.";
  return "Players get in.";
}

const SUFFERS: Partial<Record<Topic, string>> = {
  full: "Hardly a place is left.",
  overflow: "Messages are held up between reactors.",
  mailbox: "Messages are lost between reactors.",
  relieved: "Sessions are closed to free memory.",
  behind: "Some are falling behind.",
  tooSlow: "Some are closed because they are too slow.",
  p99: "Messages leave late.",
  notDelivered: "Not all messages arrive.",
  reactor: "One reactor is near its limit.",
  refused: "More are refused than usual.",
  certificate: "The certificate ends soon.",
};

/** The verdict on a situation: `act` before `look`, three findings at most. */
export function verdict(s: Situation): Verdict {
  const findings = [...toAct(s), ...toLookAt(s)];
  if (findings.length === 0) return { level: "well", heading: "All is well.", findings, all: findings };
  const suffers = findings.map(({ topic }) => SUFFERS[topic]).find((words) => words !== undefined);
  return {
    level: findings[0]?.level ?? "look",
    heading: [entry(s), suffers].filter(Boolean).join(" "),
    findings: findings.slice(0, LIMITS.findings),
    all: findings,
  };
}

/** The middle of some numbers, or 0 of none. */
export function median(numbers: number[]): number {
  if (numbers.length === 0) return 0;
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[half] ?? 0) : ((sorted[half - 1] ?? 0) + (sorted[half] ?? 0)) / 2;
}
