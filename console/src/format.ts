// Numbers, sizes and times as the page writes them. Times are UTC: the log of the server is too.

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export interface Figure {
  value: string;
  unit: string;
}

export const count = (n: number): string => COUNT.format(n);

/** About three digits: 0, 0.29, 4.1, 38, 1,240. */
export function digits(n: number): string {
  const size = Math.abs(n);
  if (size === 0) return "0";
  if (size < 0.005) return n < 0 ? "> -0.01" : "< 0.01";
  if (size < 0.9995) return n.toFixed(2);
  if (size < 9.95) return n.toFixed(1);
  return COUNT.format(n);
}

/** A rate by the second, or by the minute if it is small. */
export function rate(perSecond: number, per = "s"): Figure {
  if (perSecond >= 999_500) return { value: (perSecond / 1e6).toFixed(1), unit: `M/${per}` };
  if (perSecond >= 9_995) return { value: (perSecond / 1e3).toFixed(1), unit: `k/${per}` };
  return { value: perSecond >= 9.95 || perSecond === 0 ? count(perSecond) : digits(perSecond), unit: `/${per}` };
}

export const together = ({ value, unit }: Figure): string => (unit.startsWith("/") ? value + unit : unit ? `${value} ${unit}` : value);

export const millis = (us: number | null): string => (us === null ? "—" : digits(us / 1000));

export function percent(share: number): string {
  return digits(share * 100);
}

export function bytes(n: number): string {
  if (n < 1000) return `${count(n)} B`;
  if (n < 1000 * 1024) return `${n < 10 * 1024 ? digits(n / 1024) : count(n / 1024)} KiB`;
  if (n < 1000 * 1024 ** 2) return `${digits(n / 1024 ** 2).replace(/\.0$/, "")} MiB`;
  return `${digits(n / 1024 ** 3)} GiB`;
}

/** How long something has lasted, in its two largest units. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min`;
  if (days === 0) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

const two = (n: number): string => String(n).padStart(2, "0");

export function clock(unixMs: number): string {
  const at = new Date(unixMs);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

export const minute = (unixMs: number): string => clock(unixMs).slice(0, 5);

export function clockMillis(unixMs: number): string {
  return `${clock(unixMs)}.${String(Math.floor(unixMs) % 1000).padStart(3, "0")}`;
}

/** A time of today as a time, another with its day. */
export function when(unixMs: number, now: number): string {
  const at = new Date(unixMs);
  if (Math.floor(unixMs / 86_400_000) === Math.floor(now / 86_400_000)) return clock(unixMs);
  const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  const year = at.getUTCFullYear() === new Date(now).getUTCFullYear() ? "" : ` ${at.getUTCFullYear()}`;
  return `${day}${year} ${minute(unixMs)}`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** A figure beside itself an hour ago, by how much it is more: "+620 in an hour". `least` or less is no change. */
export function more(now: number, before: number | null, write: (n: number) => string = count, for_ = "an hour", least = 0): string {
  if (before === null) return "";
  const change = write(Math.abs(now - before));
  if (change === write(0) || Math.abs(now - before) <= least) return `as ${for_} ago`;
  return `${now > before ? "+" : "−"}${change} in ${for_}`;
}

/** A figure beside itself an hour ago, by how many times: "4.3 × an hour ago". */
export function times(now: number, before: number | null, for_ = "an hour"): { strong: string; rest: string } {
  if (before === null) return { strong: "", rest: "" };
  if (now === before || (before > 0 && now / before > 0.8 && now / before < 1.25)) return { strong: "", rest: `as ${for_} ago` };
  if (before === 0) return { strong: "", rest: `none ${for_} ago` };
  const ratio = now / before;
  return { strong: ratio < 0.05 ? "" : `${digits(ratio)} ×`, rest: ratio < 0.05 ? `far below ${for_} ago` : `${for_} ago` };
}

/** Bytes that are not text, or not printable, as hexadecimal digits; else the text itself. */
export function payload(data: Uint8Array, most = 64): string {
  const part = data.subarray(0, most);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(part);
    if (!/[\u0000-\u0008\u000e-\u001f\u007f]/.test(text)) return text;
  } catch {
    // Cut within a character, or no text at all.
  }
  return [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** A command for a shell, with its words quoted where they have to be. */
export function shell(words: string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}
