// Read an event stream from fetch() without holding it: what EventSource does for GET, for POST, too.
//
//   import { readStream } from "./reader.mjs";
//   const body = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true };
//   for await (const event of readStream("/v1/chat/completions", { body, idleMs: 45000 })) {
//     if (event.data !== "[DONE]") show(JSON.parse(event.data).choices[0]?.delta?.content ?? "");
//   }
//
// An event is given as soon as its last byte is there (WHATWG HTML 9.2: LF, CR LF and CR, one byte
// order mark, UTF-8 cut anywhere), and never in part. A stream that stops before its last word is
// an error, never a clean end. Leaving the loop ends the request. readEvents() reads one response.

/** The server refused, or answered with something else than an event stream; see `status`. */
export class ResponseError extends Error {
  name = "ResponseError";
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The stream ended, in good order or not, before its last word. `lastEventId` is where it was. */
export class IncompleteStream extends Error {
  name = "IncompleteStream";
  constructor(message, lastEventId, cause) {
    super(message, { cause });
    this.lastEventId = lastEventId;
  }
}

/** Nothing came for the time allowed, not even a heartbeat. */
export class IdleTimeout extends IncompleteStream {
  name = "IdleTimeout";
}

/** An event is longer than its bound. */
export class MalformedStream extends IncompleteStream {
  name = "MalformedStream";
}

/** Bytes in, events and comments out: {data, type, id} or {comment}. No I/O and no clock. */
export class Parser {
  lastEventId = "";
  retryMs = null;
  #decoder = new TextDecoder(); // takes off one byte order mark, and keeps a cut character
  #maxChars;
  #held = [];
  #heldChars = 0;
  #skipLf = false;
  #data = [];
  #dataChars = 0;
  #type = "";
  #id = "";

  constructor({ maxEventChars = 16 << 20 } = {}) {
    this.#maxChars = maxEventChars;
  }

  /** What these bytes complete, in order. */
  *receive(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#skipLf && text) {
      this.#skipLf = false;
      if (text[0] === "\n") text = text.slice(1);
    }
    let start = 0;
    // Not split(): it would have to look at a held line again with every read.
    for (const found of text.matchAll(/\r\n|\n|\r/g)) {
      const line = this.#held.join("") + text.slice(start, found.index);
      this.#held = [];
      this.#heldChars = 0;
      start = found.index + found[0].length;
      yield* this.#line(line);
    }
    // A lone CR ends its line now; the LF that may belong to it is dropped when it comes.
    if (text.endsWith("\r")) this.#skipLf = true;
    if (start < text.length) this.#hold(text.slice(start));
  }

  #hold(text) {
    this.#held.push(text);
    this.#heldChars += text.length;
    this.#bound(this.#heldChars);
  }

  #bound(more) {
    if (this.#dataChars + more > this.#maxChars) {
      const told = `an event is longer than ${this.#maxChars} characters`;
      throw new MalformedStream(told, this.lastEventId);
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
    this.#bound(line.length);
    this.#dataChars += line.length;
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]{1,15}$/.test(value)) this.retryMs = Number(value);
  }
}

/**
 * The events of a response that is there already, for pages that send and resume by themselves. A
 * 204 has none. Nothing tells a cut stream from a whole one here, and nothing ends a silent one.
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

/** What each read brought, as soon as it is there. Leaving the loop lets the stream go. */
async function* reads(response, parser) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield parser.receive(value);
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may have broken already
  }
}

const ATTEMPTS = 3; // reconnects in a row that bring nothing
const MAX_PAUSE_MS = 30000;

/**
 * The events of one stream: {data, type, id}, with its last word, which ends the iteration.
 *
 * @param {string} url
 * @param {object} options
 * @param {object|string} [options.body] sent as JSON unless it is text; with it the method is POST.
 * @param {object} [options.headers]
 * @param {(event) => boolean} [options.isLast] tells the last word; `null` where a stream has none,
 *   and then a clean end cannot be told from a cut one. ["[DONE]"]
 * @param {number} [options.idleMs] give up when no byte came for so long. [60000]
 * @param {boolean} [options.resume] go on with Last-Event-ID after a break, if the server gives ids.
 * @param {(text: string, atMs: number) => void} [options.onHeartbeat] told of every comment, so that
 *   a watchdog of the page sees that the server lives.
 * @param {AbortSignal} [options.signal] ends the request; the iteration then throws its reason.
 * @throws {ResponseError|IncompleteStream|IdleTimeout|MalformedStream}
 */
export async function* readStream(url, options = {}) {
  const { isLast = (event) => event.data === "[DONE]", resume = false, signal } = options;
  const state = { lastEventId: "", retryMs: 1000, attempts: 0 };
  for (;;) {
    try {
      for await (const event of readOnce(url, options, state)) {
        state.attempts = 0;
        yield event;
        if (isLast?.(event)) return;
      }
      if (isLast === null) return;
      const told = "the stream ended before its last word";
      throw new IncompleteStream(told, state.lastEventId);
    } catch (error) {
      signal?.throwIfAborted();
      const broke = error instanceof IncompleteStream && !(error instanceof MalformedStream);
      if (!(resume && broke && state.lastEventId && state.attempts < ATTEMPTS)) throw error;
      const pause = Math.min(MAX_PAUSE_MS, state.retryMs * 2 ** state.attempts++);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

async function* readOnce(url, options, state) {
  const { idleMs = 60000, onHeartbeat, signal } = options;
  const stop = new AbortController();
  let idle = false;
  let timer;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ((idle = true), stop.abort()), idleMs);
  };
  const leave = () => stop.abort(signal.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", leave);
  watch();
  try {
    const response = await fetch(url, request(options, state, stop.signal));
    await requireStream(response);
    const parser = new Parser(options);
    for await (const items of reads(response, parser)) {
      watch();
      for (const item of items) {
        state.lastEventId = parser.lastEventId || state.lastEventId;
        state.retryMs = parser.retryMs ?? state.retryMs;
        if ("comment" in item) onHeartbeat?.(item.comment, performance.now());
        else yield item;
      }
    }
  } catch (error) {
    if (idle) throw new IdleTimeout(`no byte came for ${idleMs} ms`, state.lastEventId, error);
    if (error instanceof ResponseError || error instanceof IncompleteStream) throw error;
    throw new IncompleteStream(`the stream broke off: ${error.message}`, state.lastEventId, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
    stop.abort(); // also when the loop is left: the server shall see its reader go
  }
}

function request({ body, headers = {}, method }, { lastEventId }, signal) {
  const own = { Accept: "text/event-stream" };
  if (body !== undefined) own["Content-Type"] = "application/json";
  if (lastEventId) own["Last-Event-ID"] = lastEventId;
  return {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...own, ...headers },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    cache: "no-store",
    signal,
  };
}

async function requireStream(response) {
  const kind = response.headers.get("content-type") ?? "";
  if (response.ok && response.status !== 204 && kind.startsWith("text/event-stream")) return;
  const said = (await response.text()).slice(0, 300);
  throw new ResponseError(`${response.status} ${kind}: ${said}`, response.status);
}
