import assert from "node:assert/strict";
import { test } from "node:test";

import { createUseStream } from "../src/hook.mjs";

/** Replacement of React's hooks for one component. */
function component(hook, ...args) {
  const slots = [];
  let at;
  let cleanup;
  const slot = (make) => {
    const index = at++;
    slots[index] ??= make();
    return slots[index];
  };
  const hooks = {
    useState: (initial) => {
      const one = slot(() => ({ value: initial }));
      const set = (next) => (one.value = typeof next === "function" ? next(one.value) : next);
      return [one.value, set];
    },
    useRef: (initial) => slot(() => ({ current: initial })),
    useCallback: (callback) => slot(() => callback),
    useEffect: (effect) => slot(() => ((cleanup = effect()), true)),
  };
  const use = hook(hooks);
  const render = () => ((at = 0), use(...args));
  return { render, unmount: () => cleanup() };
}

function answering(text, { open = false } = {}) {
  const signals = [];
  const fetch = async (url, { signal }) => {
    signals.push(signal);
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(text));
        if (!open) controller.close();
        signal.addEventListener("abort", () => open && controller.error(signal.reason));
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  return { fetch, signals };
}

const TEXT = "data: a\n\ndata: b\n\n";
const later = () => new Promise((resolve) => setTimeout(resolve, 20));

test("events are collected, and the state is complete at the end", async () => {
  const { fetch } = answering(TEXT);
  const one = component(createUseStream, "/x", { fetch, isLast: (event) => event.data === "b" });
  assert.equal(one.render().status, "idle");
  const reading = one.render().start();
  assert.equal(one.render().status, "streaming");
  await reading;
  const { events, status, error } = one.render();
  assert.deepEqual(events.map((event) => event.data), ["a", "b"]);
  assert.deepEqual([status, error], ["complete", null]);
});

test("an incomplete stream fails and keeps its events", async () => {
  const { fetch } = answering(TEXT);
  const one = component(createUseStream, "/x", { fetch });
  await one.render().start();
  assert.equal(one.render().status, "failed");
  assert.equal(one.render().error.name, "IncompleteStream");
  assert.equal(one.render().events.length, 2);
});

test("stop ends the request", async () => {
  const { fetch, signals } = answering(TEXT, { open: true });
  const one = component(createUseStream, "/x", { fetch });
  const reading = one.render().start();
  await later();
  one.render().stop();
  await reading;
  assert.ok(signals[0].aborted);
  assert.equal(one.render().status, "stopped");
  assert.equal(one.render().events.length, 2);
});

test("a new start replaces the running stream, and unmounting ends it", async () => {
  const { fetch, signals } = answering(TEXT, { open: true });
  const one = component(createUseStream, "/x", { fetch });
  const first = one.render().start();
  await later();
  const second = one.render().start();
  await later();
  assert.ok(signals[0].aborted);
  assert.equal(one.render().events.length, 2);
  one.unmount();
  await Promise.all([first, second]);
  assert.ok(signals[1].aborted);
  assert.equal(one.render().status, "streaming");
});
