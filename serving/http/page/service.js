// Requests to the service. The key is kept in this module's memory and nowhere else: no storage, no cookie, no URL.

let key = "";
let prefix = "";
let askForKey = async () => null;

/** A refusal by the service: `problem` as RFC 9457 has it, with all findings. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.code = problem.code || "";
    this.findings = problem.findings || [];
    this.requestId = problem.request_id || "";
  }
}

/** `ask`: given the refusal, resolves to a key, or to null where the person has none. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function useKey(given) {
  key = given.trim();
}

export const hasKey = () => key !== "";

/** Which model answers: a served name, and one of its versions; both empty for the service's first. */
export function useModel(name, version) {
  const at = name ? `models/${encodeURIComponent(name)}/` : "";
  prefix = at && version ? `${at}versions/${encodeURIComponent(version)}/` : at;
}

export const currentPrefix = () => prefix;

/** The answer to a request. `path`: of a route of the chosen model, or from the root where `root` is set. Raises
 * `Refusal`, and `TypeError` where the service cannot be reached. */
export async function ask(path, { body, json, query = {}, accept = "application/json", signal, root = false } = {}) {
  const url = new URL((root ? "" : prefix) + path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  for (;;) {
    const headers = { Accept: accept };
    if (key) headers.Authorization = `Bearer ${key}`;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(url, {
      method: body || json !== undefined ? "POST" : "GET",
      body: json !== undefined ? JSON.stringify(json) : body,
      headers,
      signal,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
    if (answer.ok) return answer;
    const refusal = new Refusal(answer.status, await problemOf(answer));
    if (refusal.status !== 401) throw refusal;
    const given = await askForKey(refusal);
    if (given === null) throw refusal;
    useKey(given);
  }
}

async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return { title: `The service answered with status ${answer.status}.` };
  }
}

/** A form with a file and its options; empty options are omitted. */
export function formOf(file, options) {
  const form = new FormData();
  form.append("file", file, file.name);
  for (const [name, value] of Object.entries(options)) {
    if (value !== "" && value !== false && value !== null) form.append(name, String(value));
  }
  return form;
}
