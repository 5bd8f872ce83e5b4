import { readStream } from "./index.mjs";

/** Returns the hook useStream, built on the hooks of the given React module. */
export function createUseStream({ useCallback, useEffect, useRef, useState }) {
  return function useStream(url, options = {}) {
    const [state, setState] = useState({ events: [], status: "idle", error: null });
    const latest = useRef({ url, options });
    latest.current = { url, options };
    const running = useRef(null);

    const stop = useCallback(() => {
      const controller = running.current;
      running.current = null;
      if (controller === null) return;
      controller.abort();
      setState((earlier) => ({ ...earlier, status: "stopped" }));
    }, []);

    const start = useCallback(async (more = {}) => {
      running.current?.abort();
      const controller = new AbortController();
      running.current = controller;
      const isCurrent = () => running.current === controller;
      setState({ events: [], status: "streaming", error: null });
      const { url, options } = latest.current;
      try {
        const all = { ...options, ...more, signal: controller.signal };
        for await (const event of readStream(url, all)) {
          if (!isCurrent()) return;
          setState((earlier) => ({ ...earlier, events: [...earlier.events, event] }));
        }
        if (!isCurrent()) return;
        running.current = null;
        setState((earlier) => ({ ...earlier, status: "complete" }));
      } catch (error) {
        if (!isCurrent()) return;
        running.current = null;
        setState((earlier) => ({ ...earlier, status: "failed", error }));
      }
    }, []);

    // The stream must not outlive its component.
    useEffect(
      () => () => {
        running.current?.abort();
        running.current = null;
      },
      [],
    );
    return { ...state, start, stop };
  };
}
