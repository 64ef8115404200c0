// How the pages speak with the service: the JSON API with the user's key in the header, each move done once.
// The key lies in this tab's session storage and nowhere else; it is in no address, no cookie and no log.

import { hearDate } from "./dom.js";

const KEY = "handrail key";
const TRIES = 3; // of what may be sent again: a telephone changes its network in the middle of a tap
const PAUSES_MS = [600, 1800];
const ANSWER_MS_MAX = 20_000;
// The service sends a pulse every 15 s: a stream that is silent for longer than two is broken.
const SILENCE_MS_MAX = 40_000;
const RECONNECT_MS_MAX = 15_000;

export const base = new URL(document.body.dataset.base, location.href);

/** What the service refused, with its stable code, its sentence and what to do next. */
export class Refused extends Error {
  constructor(status, told) {
    super(told.detail ?? "refused");
    this.status = status;
    this.code = told.code ?? "internal";
    this.detail = told.detail ?? "";
    this.hint = told.hint ?? "";
    this.told = told;
  }
}

/** No answer came: whether it was done is not known, and sending it again does it once. */
export class Away extends Error {}

/** What cannot be sent as it stands, in a sentence. */
export class Unfit extends Error {}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  keep: (value) => sessionStorage.setItem(KEY, value),
  drop: () => sessionStorage.removeItem(KEY),
  // Leases and unanswered moves lie beside the key and go with it.
  forget: () => sessionStorage.clear(),
};

/** Ask the API. A POST carries a key under which it is done once, however often a bad connection makes us send it; with
`intent` that key lasts until there is an answer, so that a second tap after a lost one is the same move. `tries`: 1 for
what must not arrive later than it was meant to. */
export async function ask(method, path, body = undefined, { intent = false, keepalive = false, tries = TRIES } = {}) {
  const headers = { accept: "application/json" };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  const name = intent ? nameOf(path, text ?? "") : null;
  if (method === "POST") headers["idempotency-key"] = keyOf(name);
  const answer = await sent(path, { method, headers, body: text, keepalive }, tries);
  // What failed inside the service may have been done: the same tap again stays the same move.
  if (name && answer.status < 500) sessionStorage.removeItem(name);
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told);
  return told;
}

/** Make a move: the same one, tapped twice or sent again after a broken connection, is done once. */
export function move(path, body = {}) {
  return ask("POST", path, body, { intent: true });
}

async function sent(path, request, tries) {
  for (let tried = 1; ; tried += 1) {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const answer = await fetch(new URL(path, base), { ...request, signal, cache: "no-store", credentials: "omit" });
      hearDate(answer.headers.get("date"));
      if (answer.status !== 503 || tried >= tries) {
        if (answer.status >= 502) throw new Away();
        return answer;
      }
    } catch {
      if (tried >= tries) throw new Away();
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[tried - 1]));
  }
}

/** Return what a move is remembered by: where it goes and a sum of what it says, not the words themselves. */
function nameOf(path, text) {
  let sum = 0x811c9dc5;
  for (const letter of text) sum = Math.imul(sum ^ letter.codePointAt(0), 0x01000193) >>> 0;
  return `move ${path} ${text.length} ${sum.toString(16)}`;
}

function keyOf(name) {
  const known = name && sessionStorage.getItem(name);
  if (known) return known;
  const random = crypto.getRandomValues(new Uint8Array(16));
  const made = `console-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  if (name) sessionStorage.setItem(name, made);
  return made;
}

/** Follow server-sent events with the key in the header, which an EventSource cannot send.

`hear(event, data)` is told each event, `connected(whether)` how the connection is. Returns a function that ends it. */
export function follow(path, hear, connected) {
  let stopped = false;
  let known = null;
  let pauseMs = 500;
  let current = null;

  async function listen() {
    while (!stopped) {
      const abort = new AbortController();
      current = abort;
      try {
        const headers = { accept: "text/event-stream", authorization: `Bearer ${key.get()}` };
        if (known) headers["last-event-id"] = known;
        const request = { headers, signal: abort.signal, cache: "no-store", credentials: "omit" };
        const answer = await fetch(new URL(path, base), request);
        if (answer.status === 401) {
          stopped = true;
          return hear("key gone", null);
        }
        if (!answer.ok) throw new Away();
        connected(true);
        pauseMs = 500;
        await read(answer.body.getReader(), abort);
      } catch {
        // Whatever broke it, the next try tells.
      }
      if (stopped) return;
      connected(false);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(pauseMs * 2, RECONNECT_MS_MAX);
    }
  }

  async function read(reader, abort) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const silence = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) tell(block);
    }
  }

  function tell(block) {
    const fields = Object.fromEntries(
      block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]),
    );
    if (fields.id) known = fields.id;
    if (fields.event) hear(fields.event, JSON.parse(fields.data));
  }

  listen();
  return {
    end: () => {
      stopped = true;
      current?.abort();
    },
    // A telephone that slept has a connection that only looks alive.
    renew: () => {
      pauseMs = 100;
      current?.abort();
    },
  };
}
