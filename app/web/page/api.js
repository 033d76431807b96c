// The service, asked. Photos are sent as the files that they are, byte for byte.

const KEY = "hubel-key";
const base = new URL("api/v1/", document.baseURI);

// What went wrong: the code that the page has a text for, and the service's own words.
export class Problem extends Error {
  constructor({ code, status = 0, title = "", detail = "", retryAfter = null, requestId = "" }) {
    super(detail || code);
    Object.assign(this, { code, status, title, detail, retryAfter, requestId });
  }
}

// sessionStorage may be forbidden; the key is then asked for again on the next visit.
let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch {}

export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {}
}

export const hasKey = () => key !== "";

export function urlOf(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query))
    if (value !== null && value !== undefined && value !== "")
      for (const each of [value].flat()) url.searchParams.append(name, each);
  return url;
}

// The response of the service; what is no success is thrown as a Problem.
export async function ask(path, { query, method = "GET", body, accept, type, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (accept) headers.Accept = accept;
  if (type) headers["Content-Type"] = type;
  let answer;
  try {
    answer = await fetch(urlOf(path, query), { method, body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: (await areReadable(body)) ? "gone" : "unreadable" });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Problem({
    code: told.code ?? String(answer.status),
    status: answer.status,
    title: told.title,
    detail: told.detail ?? `Status ${answer.status}, without a reason`,
    retryAfter: Number(answer.headers.get("Retry-After")) || null,
    requestId: told.request_id,
  });
}

// The files of a body: one by itself, or those of a form.
async function areReadable(body) {
  const parts = body instanceof FormData ? [...body.values()] : [body];
  try {
    for (const file of parts) if (file instanceof Blob) await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// The way of every question about a photo.
async function askAbout(path, photo, query, signal) {
  const answer = await ask(path, { method: "POST", body: photo, query, signal });
  return { ...(await answer.json()), timing: timing(answer) };
}

export const models = async () => (await ask("models")).json();
export const model = async (name, version) =>
  (await ask(`models/${encodeURIComponent(name)}`, { query: { version } })).json();
export const drift = async ({ model: name, version }) =>
  (await ask(`models/${encodeURIComponent(name)}/drift`, { query: { version } })).json();
export const classify = (photo, which, top_k = 5) => askAbout("classify", photo, { ...which, top_k });
export const indexes = async () => (await ask("indexes")).json();
export const similar = (photo, query, signal) => askAbout("similar", photo, query, signal);
export const explain = (photo, which, label, signal) =>
  askAbout("explain", photo, { ...which, label }, signal);
export const activations = (photo, which, wanted, signal) =>
  askAbout("activations", photo, { ...which, ...wanted }, signal);

export const filters = async ({ model: name, version }) =>
  (await ask(`models/${encodeURIComponent(name)}/filters.png`, { query: { version } })).blob();
export const report = async ({ model: name, version }) =>
  (await ask(`models/${encodeURIComponent(name)}/report/`, { query: { version } })).blob();

// Server-Timing: "decode;dur=1.25, …" -> {decode: 1.25, …}
function timing(answer) {
  const parts = (answer.headers.get("Server-Timing") ?? "").split(",");
  return Object.fromEntries(
    parts.map((part) => part.trim().split(";dur=")).map(([name, ms]) => [name, Number(ms)]),
  );
}
