import type { StreamEvent, StreamOptions } from "./index.js";

export interface StreamState {
  /** Events of the current or last stream. */
  events: StreamEvent[];
  status: "idle" | "streaming" | "complete" | "stopped" | "failed";
  error: unknown;
  /** Begins a stream and replaces the events of an earlier one. */
  start: (options?: StreamOptions) => Promise<void>;
  /** Ends the stream, so that the server detects the disconnect. */
  stop: () => void;
}

/** Hook that reads one stream at a time; the stream ends when the component unmounts. */
export function useStream(url: string, options?: StreamOptions): StreamState;
