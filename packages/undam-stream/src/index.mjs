// Read an event stream from fetch() without buffering, for GET and POST, in browsers and Node.
//
//   import { readStream } from "undam-stream";
//   const body = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true };
//   for await (const event of readStream("/v1/chat/completions", { body, idleMs: 45000 })) {
//     if (event.data !== "[DONE]") show(JSON.parse(event.data).choices[0]?.delta?.content ?? "");
//   }
//
// Each event is returned as soon as its last byte has arrived. Parsing follows WHATWG HTML 9.2: lines
// end with LF, CR LF or CR, a byte order mark is removed, and UTF-8 may be split anywhere. A stream
// that ends before its last event raises an error. Leaving the loop ends the request. readEvents()
// reads a single response.

/**
 * The response is not an event stream or has an error status; see `status`. `retryAfterMs` is the
 * server's Retry-After, or null.
 */
export class ResponseError extends Error {
  name = "ResponseError";
  constructor(message, status, retryAfterMs = null) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The stream ended before its last event. `lastEventId` is the ID of the last event received. */
export class IncompleteStream extends Error {
  name = "IncompleteStream";
  constructor(message, lastEventId, cause) {
    super(message, { cause });
    this.lastEventId = lastEventId;
  }
}

/** No byte arrived within the time limit, not even a heartbeat. */
export class IdleTimeout extends IncompleteStream {
  name = "IdleTimeout";
}

/** An event is longer than the limit. */
export class MalformedStream extends IncompleteStream {
  name = "MalformedStream";
}

/** Parses bytes into events and comments: {data, type, id} or {comment}. Uses no I/O or clock. */
export class Parser {
  lastEventId = "";
  retryMs = null;
  #decoder = new TextDecoder(); // removes a byte order mark and handles split characters
  #maxChars;
  #pending = [];
  #pendingChars = 0;
  #skipLf = false;
  #data = [];
  #dataChars = 0;
  #type = "";
  #id = "";

  constructor({ maxEventChars = 16 << 20 } = {}) {
    this.#maxChars = maxEventChars;
  }

  /** Yields the events and comments that these bytes complete, in order. */
  *receive(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#skipLf && text) {
      this.#skipLf = false;
      if (text[0] === "\n") text = text.slice(1);
    }
    let start = 0;
    // split() would scan an unfinished line again with every read.
    for (const found of text.matchAll(/\r\n|\n|\r/g)) {
      const line = this.#pending.join("") + text.slice(start, found.index);
      this.#pending = [];
      this.#pendingChars = 0;
      start = found.index + found[0].length;
      yield* this.#line(line);
    }
    // A lone CR ends its line now; an LF that follows it is dropped when it arrives.
    if (text.endsWith("\r")) this.#skipLf = true;
    if (start < text.length) this.#addPending(text.slice(start));
  }

  #addPending(text) {
    this.#pending.push(text);
    this.#pendingChars += text.length;
    this.#checkLength(this.#pendingChars);
  }

  #checkLength(more) {
    if (this.#dataChars + more > this.#maxChars) {
      const message = `an event is longer than ${this.#maxChars} characters`;
      throw new MalformedStream(message, this.lastEventId);
    }
  }

  *#line(line) {
    if (line === "") {
      this.lastEventId = this.#id;
      if (this.#data.length) {
        yield { data: this.#data.join("\n"), type: this.#type || "message", id: this.#id };
      }
      this.#data = [];
      this.#dataChars = 0;
      this.#type = "";
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") value = value.slice(1);
    if (colon === 0) {
      yield { comment: value };
      return;
    }
    this.#checkLength(line.length);
    this.#dataChars += line.length;
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]{1,15}$/.test(value)) this.retryMs = Number(value);
  }
}

/**
 * Yields the events of a response, for pages that send and resume requests themselves. A 204 has no
 * events. Incomplete streams are not detected, and silent streams are not ended.
 */
export async function* readEvents(response, { onHeartbeat, ...bounds } = {}) {
  if (response.status === 204) return;
  await requireStream(response);
  for await (const items of reads(response, new Parser(bounds))) {
    for (const item of items) {
      if ("comment" in item) onHeartbeat?.(item.comment, performance.now());
      else yield item;
    }
  }
}

/** Yields the items of each read as soon as they arrive. Leaving the loop cancels the stream. */
async function* reads(response, parser) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield parser.receive(value);
    }
  } finally {
    await reader.cancel().catch(() => {}); // the connection may be broken
  }
}

const MAX_ATTEMPTS = 3; // maximum number of consecutive reconnects without a new event
const MAX_PAUSE_MS = 30000;
const TRANSIENT_STATUS = new Set([429, 500, 502, 503, 504]);

/**
 * Yields the events of one stream: {data, type, id}. The iteration ends after the last event. The
 * options are described in index.d.ts.
 *
 * @throws {ResponseError|IncompleteStream|IdleTimeout|MalformedStream}
 */
export async function* readStream(url, options = {}) {
  const { isLast = (event) => event.data === "[DONE]", resume = false, signal } = options;
  const { maxAttempts = MAX_ATTEMPTS, lastEventId = "" } = options;
  const state = { lastEventId, retryMs: 1000, attempts: 0, refreshed: false, events: 0 };
  for (;;) {
    try {
      for await (const event of readOnce(url, options, state)) {
        state.attempts = 0;
        state.refreshed = false;
        state.events += 1;
        yield event;
        if (isLast?.(event)) return;
      }
      if (isLast === null) return;
      const message = "the stream ended before its last event";
      throw new IncompleteStream(message, state.lastEventId);
    } catch (error) {
      signal?.throwIfAborted();
      if (await isRefreshed(error, options, state)) continue;
      // When everything was received, the server has nothing to add.
      if (resume && state.events && error.status === 204) return;
      const mayResume = resume && state.lastEventId && state.attempts < maxAttempts;
      if (!mayResume || !isTransient(error)) throw error;
      await pause(pauseMs(error, options, state), signal);
    }
  }
}

function isTransient(error) {
  if (error instanceof ResponseError) return TRANSIENT_STATUS.has(error.status);
  return error instanceof IncompleteStream && !(error instanceof MalformedStream);
}

/** Lets the page get a new token after a 401, once per connection that delivered no event. */
async function isRefreshed(error, { onUnauthorized }, state) {
  if (error.status !== 401 || !onUnauthorized || state.refreshed) return false;
  state.refreshed = true;
  return (await onUnauthorized(error)) !== false;
}

/**
 * Returns the time before the next attempt. Its limit doubles with each attempt, and the time is at
 * random between half of the limit and the limit. Without this jitter, all pages would reconnect to
 * a restarted server at the same time. Retry-After is a lower bound.
 */
function pauseMs(error, { maxPauseMs = MAX_PAUSE_MS, random = Math.random }, state) {
  const limit = Math.min(maxPauseMs, state.retryMs * 2 ** state.attempts++);
  const own = limit * (0.5 + random() / 2);
  const wanted = error.retryAfterMs ?? 0;
  if (wanted > maxPauseMs) throw error; // the page must not wait that long without a message
  return wanted ? wanted + own * 0.25 : own;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done() {
      signal?.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal?.addEventListener("abort", stop, { once: true });
  });
}

async function* readOnce(url, options, state) {
  const { idleMs = 60000, onHeartbeat, signal } = options;
  const stop = new AbortController();
  let idle = false;
  let timer;
  const watch = () => {
    clearTimeout(timer);
    if (idleMs !== null) timer = setTimeout(() => ((idle = true), stop.abort()), idleMs);
  };
  const abort = () => stop.abort(signal.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", abort);
  watch();
  try {
    const init = await request(options, state, stop.signal);
    const response = await (options.fetch ?? fetch)(url, init);
    await requireStream(response);
    options.onOpen?.(response);
    const parser = new Parser(options);
    for await (const items of reads(response, parser)) {
      watch();
      for (const item of items) {
        state.lastEventId = parser.lastEventId || state.lastEventId;
        if ("comment" in item) onHeartbeat?.(item.comment, performance.now());
        else yield item;
      }
      state.lastEventId = parser.lastEventId || state.lastEventId;
      state.retryMs = parser.retryMs ?? state.retryMs;
    }
  } catch (error) {
    if (idle) throw new IdleTimeout(`no byte arrived for ${idleMs} ms`, state.lastEventId, error);
    if (error instanceof ResponseError || error instanceof IncompleteStream) throw error;
    if (error instanceof CallbackError) throw error.cause;
    throw new IncompleteStream(`the stream broke off: ${error.message}`, state.lastEventId, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
    stop.abort(); // also if the loop is left early, so that the server detects the disconnect
  }
}

/** Error of a callback of the page, as opposed to an error of the stream. */
class CallbackError extends Error {}

async function request(options, { lastEventId }, signal) {
  const { body, method, headers = {}, credentials, mode, cache = "no-store", redirect } = options;
  const own = { Accept: "text/event-stream" };
  if (body !== undefined) own["Content-Type"] = "application/json";
  if (lastEventId) own["Last-Event-ID"] = lastEventId;
  let given;
  try {
    given = typeof headers === "function" ? await headers() : headers;
  } catch (error) {
    throw new CallbackError("headers", { cause: error });
  }
  const init = {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...own, ...Object.fromEntries(new Headers(given)) },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    cache,
    signal,
  };
  if (credentials !== undefined) init.credentials = credentials;
  if (mode !== undefined) init.mode = mode;
  if (redirect !== undefined) init.redirect = redirect;
  // Names are case-insensitive; a header that the page specifies replaces the default.
  const names = new Map(Object.keys(own).map((name) => [name.toLowerCase(), name]));
  for (const name of Object.keys(init.headers)) {
    const usual = names.get(name);
    if (usual !== undefined && usual !== name) delete init.headers[usual];
  }
  return init;
}

async function requireStream(response) {
  const kind = response.headers.get("content-type") ?? "";
  if (response.ok && response.status !== 204 && kind.startsWith("text/event-stream")) return;
  const text = (await response.text()).slice(0, 300);
  const retryAfterMs = retryAfter(response.headers.get("retry-after"));
  throw new ResponseError(`${response.status} ${kind}: ${text}`, response.status, retryAfterMs);
}

function retryAfter(value) {
  if (value === null) return null;
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}
