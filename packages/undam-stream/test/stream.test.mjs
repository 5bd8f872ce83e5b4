import assert from "node:assert/strict";
import { test } from "node:test";

import {
  IdleTimeout, IncompleteStream, MalformedStream, Parser, readEvents, readStream, ResponseError,
} from "../src/index.mjs";
import { collect, serving, status, stream } from "./server.mjs";

const FIRST = "retry: 20\nid: 1\ndata: a\n\n";
const REST = "id: 2\ndata: b\n\ndata: [DONE]\n\n";

async function withServer(handlers, check) {
  const server = await serving(...handlers);
  try {
    await check(server);
  } finally {
    await server.close();
  }
}

test("the parser returns the same events however the bytes are split", () => {
  const bytes = new TextEncoder().encode("\ufeff: hi\r\nid: 1\rdata: ä\ndata: b\n\nevent: x\ndata\n\n");
  for (const size of [1, 2, 3, 7, 1000]) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < bytes.length; at += size) {
      found.push(...parser.receive(bytes.slice(at, at + size)));
    }
    assert.deepEqual(found, [
      { comment: "hi" },
      { data: "ä\nb", type: "message", id: "1" },
      { data: "", type: "x", id: "1" },
    ]);
  }
});

test("a complete stream ends after its last event", () =>
  withServer([stream(FIRST + REST)], async ({ url, requests }) => {
    assert.deepEqual(await collect(readStream(url, { body: { q: 1 } })), ["a", "b", "[DONE]"]);
    assert.equal(requests[0].method, "POST");
    assert.equal(requests[0].body, '{"q":1}');
    assert.equal(requests[0].headers.accept, "text/event-stream");
  }));

test("a cut stream is resumed after a transient status", async () => {
  for (const code of [429, 500, 502, 503, 504]) {
    const handlers = [stream(FIRST, "cut"), status(code), stream(REST)];
    await withServer(handlers, async ({ url, requests }) => {
      assert.deepEqual(await collect(readStream(url, { resume: true })), ["a", "b", "[DONE]"]);
      assert.deepEqual(requests.map((one) => one.headers["last-event-id"]), [undefined, "1", "1"]);
    });
  }
});

test("a final status ends the resume", () =>
  withServer([stream(FIRST, "cut"), status(404)], async ({ url }) => {
    await assert.rejects(collect(readStream(url, { resume: true })), (error) => {
      assert.ok(error instanceof ResponseError);
      return error.status === 404;
    });
  }));

test("a 204 after a cut means that nothing is missing", () =>
  withServer([stream(FIRST, "cut"), status(204)], async ({ url }) => {
    assert.deepEqual(await collect(readStream(url, { resume: true })), ["a"]);
  }));

test("without resume or without IDs, a cut is an error", async () => {
  await withServer([stream(FIRST, "cut")], async ({ url }) => {
    await assert.rejects(collect(readStream(url)), (error) => error.lastEventId === "1");
  });
  await withServer([stream("data: a\n\n", "cut")], async ({ url, requests }) => {
    await assert.rejects(collect(readStream(url, { resume: true })), IncompleteStream);
    assert.equal(requests.length, 1);
  });
});

test("the pauses grow, have jitter, and are not shorter than Retry-After", async () => {
  const pauses = [];
  const realTimeout = globalThis.setTimeout;
  globalThis.setTimeout = (work, ms, ...rest) => {
    if (ms !== 60000) pauses.push(ms);
    return realTimeout(work, ms === 60000 ? ms : 0, ...rest);
  };
  try {
    const handlers = [
      stream("retry: 1000\nid: 1\ndata: a\n\n", "clean"),
      status(503), status(503, { "retry-after": "7" }), stream(REST),
    ];
    await withServer(handlers, async ({ url }) => {
      pauses.length = 0;
      await collect(readStream(url, { resume: true, random: () => 0 }));
    });
  } finally {
    globalThis.setTimeout = realTimeout;
  }
  // Ignore the timers of Node's HTTP client.
  const expected = [500, 1000, 7500];
  assert.deepEqual(pauses.filter((ms) => expected.includes(ms)), expected);
});

test("a Retry-After beyond the limit ends the resume", () =>
  withServer([stream(FIRST, "cut"), status(503, { "retry-after": "3600" })], async ({ url }) => {
    await assert.rejects(
      collect(readStream(url, { resume: true })),
      (error) => error.retryAfterMs === 3600000,
    );
  }));

test("attempts without a new event are limited", () =>
  withServer([stream(FIRST, "cut"), status(503)], async ({ url, requests }) => {
    await assert.rejects(collect(readStream(url, { resume: true, maxAttempts: 2 })), ResponseError);
    assert.equal(requests.length, 3);
  }));

test("headers may be a function, for a token that changes", () =>
  withServer([stream(FIRST, "cut"), stream(REST)], async ({ url, requests }) => {
    let count = 0;
    const headers = async () => ({ authorization: `Bearer ${++count}`, accept: "*/*" });
    await collect(readStream(url, { resume: true, headers }));
    assert.deepEqual(requests.map((one) => one.headers.authorization), ["Bearer 1", "Bearer 2"]);
    assert.equal(requests[0].headers.accept, "*/*");
  }));

test("an error of the headers function is passed through", () =>
  withServer([stream(REST)], async ({ url }) => {
    const headers = () => Promise.reject(new RangeError("no token"));
    await assert.rejects(collect(readStream(url, { headers })), RangeError);
  }));

test("a 401 calls onUnauthorized once, and the request is repeated", async () => {
  await withServer([status(401), stream(REST)], async ({ url, requests }) => {
    let token = "old";
    const options = {
      headers: () => ({ authorization: token }),
      onUnauthorized: () => void (token = "new"),
    };
    assert.deepEqual(await collect(readStream(url, options)), ["b", "[DONE]"]);
    assert.deepEqual(requests.map((one) => one.headers.authorization), ["old", "new"]);
  });
  for (const [onUnauthorized, count] of [[() => undefined, 2], [() => false, 1]]) {
    await withServer([status(401)], async ({ url, requests }) => {
      await assert.rejects(collect(readStream(url, { onUnauthorized })), ResponseError);
      assert.equal(requests.length, count);
    });
  }
});

test("credentials, mode and a custom fetch are used", async () => {
  const seen = [];
  const own = async (url, init) => {
    seen.push(init);
    return new Response(REST, { headers: { "content-type": "text/event-stream" } });
  };
  await collect(readStream("/x", { fetch: own, credentials: "include", mode: "cors" }));
  assert.equal(seen[0].credentials, "include");
  assert.equal(seen[0].mode, "cors");
  await collect(readStream("/x", { fetch: own, lastEventId: "9" }));
  assert.ok(!("credentials" in seen[1]));
  assert.equal(seen[1].headers["Last-Event-ID"], "9");
});

test("an abort ends the request, even during a pause", async () => {
  await withServer([stream(FIRST, "open")], async ({ url }) => {
    const controller = new AbortController();
    const reading = collect(readStream(url, { signal: controller.signal }));
    setTimeout(() => controller.abort(new RangeError("enough")), 50);
    await assert.rejects(reading, RangeError);
  });
  await withServer([stream("retry: 20000\n" + FIRST.slice(10), "cut")], async ({ url }) => {
    const controller = new AbortController();
    const reading = collect(readStream(url, { resume: true, signal: controller.signal }));
    setTimeout(() => controller.abort(new RangeError("enough")), 150);
    const began = Date.now();
    await assert.rejects(reading, RangeError);
    assert.ok(Date.now() - began < 5000);
  });
});

test("the idle limit ends a silent stream, and heartbeats keep a stream open", async () => {
  await withServer([stream(FIRST, "open")], async ({ url }) => {
    await assert.rejects(collect(readStream(url, { idleMs: 60 })), IdleTimeout);
  });
  const beating = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    let count = 0;
    const timer = setInterval(() => {
      response.write(": ping\n\n");
      if (++count === 8) (clearInterval(timer), response.end(REST));
    }, 30);
  };
  await withServer([beating], async ({ url }) => {
    const heard = [];
    const options = { idleMs: 2000, onHeartbeat: (text) => heard.push(text) };
    assert.deepEqual(await collect(readStream(url, options)), ["b", "[DONE]"]);
    assert.equal(heard.length, 8);
  });
});

test("leaving the loop closes the connection", () =>
  new Promise((resolve, reject) => {
    const handler = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(FIRST);
      response.on("close", () => server.close().then(resolve, reject));
    };
    let server;
    serving(handler).then(async (running) => {
      server = running;
      for await (const _ of readStream(server.url)) break;
    }).catch(reject);
  }));

test("a response that is not a stream is reported with its status and first characters", () =>
  withServer([status(200)], async ({ url }) => {
    await assert.rejects(collect(readStream(url)), /200 text\/plain: no stream/);
    const response = await fetch(url);
    await assert.rejects(collect(readEvents(response)), ResponseError);
  }));

test("an event beyond the limit is an error that is not resumed", () =>
  withServer([stream(FIRST + "data: " + "x".repeat(200))], async ({ url, requests }) => {
    const options = { resume: true, maxEventChars: 100 };
    await assert.rejects(collect(readStream(url, options)), MalformedStream);
    assert.equal(requests.length, 1);
  }));
