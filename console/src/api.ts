// Requests to the server that the page came from. The key is in this module's memory and in no URL, no cookie, no storage.

export class Refused extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

export type Query = Record<string, string | number | null | undefined>;

let key = "";
/** Called when the server does not take the key (any more). */
let onUnauthorized: (refused: Refused) => void = () => {};

export function useKey(given: string, unauthorized: (refused: Refused) => void): void {
  key = given.trim();
  onUnauthorized = unauthorized;
}

export const hasKey = (): boolean => key !== "";

/** A path with its parameters; parts of the path are names. */
export function url(path: string[], query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") search.append(name, String(value));
  return `/${path.map(encodeURIComponent).join("/")}${search.size ? `?${search}` : ""}`;
}

interface Options {
  body?: BodyInit;
  type?: string;
  signal?: AbortSignal;
  accept?: string;
}

/** A request with the key; a refusal is a `Refused` with the server's own words. */
export async function request(method: string, address: string, { body, type, signal, accept }: Options = {}): Promise<Response> {
  const headers = new Headers();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  if (type) headers.set("Content-Type", type);
  if (accept) headers.set("Accept", accept);
  const response = await fetch(address, { method, headers, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  if (response.ok) return response;
  const refused = await refusal(response);
  if (response.status === 401) onUnauthorized(refused);
  throw refused;
}

async function refusal(response: Response): Promise<Refused> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new Refused(response.status, error.code, error.message);
  } catch {
    return new Refused(response.status, "", text.slice(0, 200) || `The server answered ${response.status}.`);
  }
}

async function json<T>(method: string, address: string, options?: Options): Promise<T> {
  return (await (await request(method, address, options)).json()) as T;
}

export const get = <T>(path: string[], query?: Query, signal?: AbortSignal): Promise<T> => json<T>("GET", url(path, query), { signal });
export const post = <T>(path: string[], query?: Query, options?: Options): Promise<T> => json<T>("POST", url(path, query), options);
export const del = <T>(path: string[], query?: Query): Promise<T> => json<T>("DELETE", url(path, query));

/** What went wrong, for a person. */
export function inWords(error: unknown): string {
  if (error instanceof Refused) return error.message.replace(/^./, (first) => first.toUpperCase());
  return "The server does not answer.";
}

export const isAborted = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
