/** Event of a stream. */
export interface StreamEvent {
  data: string;
  /** Type of the event; "message" if the server sends none. */
  type: string;
  /** Last event ID; empty if the server sends none. */
  id: string;
}

export interface StreamComment {
  comment: string;
}

/** The response is not an event stream or has an error status. */
export class ResponseError extends Error {
  constructor(message: string, status: number, retryAfterMs?: number | null);
  status: number;
  /** Retry-After of the server in ms. */
  retryAfterMs: number | null;
}

/** The stream ended before its last event. */
export class IncompleteStream extends Error {
  constructor(message: string, lastEventId: string, cause?: unknown);
  lastEventId: string;
}

/** No byte arrived within the time limit, not even a heartbeat. */
export class IdleTimeout extends IncompleteStream {}

/** An event is longer than the limit. */
export class MalformedStream extends IncompleteStream {}

export interface ParserOptions {
  /** Maximum length of one event. Default: 16 million characters. */
  maxEventChars?: number;
}

/** Parses bytes into events and comments, without I/O or a clock. */
export class Parser {
  constructor(options?: ParserOptions);
  lastEventId: string;
  /** Last reconnection time in ms that the server has sent. */
  retryMs: number | null;
  receive(bytes: Uint8Array): Generator<StreamEvent | StreamComment, void, undefined>;
}

export interface StreamOptions extends ParserOptions {
  /** Sent as JSON unless it is a string; the method is then POST. */
  body?: unknown;
  method?: string;
  /** Headers, or a function that is called for every attempt, for instance to get a fresh token. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  credentials?: RequestCredentials;
  mode?: RequestMode;
  cache?: RequestCache;
  redirect?: RequestRedirect;
  /** Function to use in place of the global fetch. */
  fetch?: (input: string, init: RequestInit) => Promise<Response>;
  /**
   * Returns true for the last event. With null, an incomplete stream is not detected. Default: the
   * data is "[DONE]".
   */
  isLast?: ((event: StreamEvent) => boolean) | null;
  /** Time without a byte before IdleTimeout. Default: 60000; null disables the limit. */
  idleMs?: number | null;
  /** Reconnect with Last-Event-ID after a broken connection or a transient status. */
  resume?: boolean;
  /** Maximum number of consecutive reconnects without a new event. Default: 3. */
  maxAttempts?: number;
  /** Maximum pause between two attempts. Default: 30000. */
  maxPauseMs?: number;
  /** Source of jitter. Default: Math.random. */
  random?: () => number;
  /** Start after this event, for instance after a reload. */
  lastEventId?: string;
  /** Called after a 401. The request is sent again unless the result is false. */
  onUnauthorized?: (error: ResponseError) => boolean | void | Promise<boolean | void>;
  /** Called for the response of every attempt that is a stream. */
  onOpen?: (response: Response) => void;
  /** Called for every comment, with its arrival time (performance.now()). */
  onHeartbeat?: (text: string, atMs: number) => void;
  /** Ends the request; the iteration then throws its reason. */
  signal?: AbortSignal;
}

/** Yields the events of one stream. The iteration ends after the last event. */
export function readStream(
  url: string,
  options?: StreamOptions,
): AsyncGenerator<StreamEvent, void, undefined>;

/** Yields the events of a response, for pages that send and resume requests themselves. */
export function readEvents(
  response: Response,
  options?: ParserOptions & Pick<StreamOptions, "onHeartbeat">,
): AsyncGenerator<StreamEvent, void, undefined>;
