import http from "node:http";

/** Runs a server with one handler per request, in order; the last one serves all further requests. */
export async function serving(...handlers) {
  const requests = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      requests.push({ method: request.method, headers: request.headers, body });
      const handler = handlers[Math.min(requests.length, handlers.length) - 1];
      handler(response, request);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, close };
}

/** Handler that sends an event stream; `end` is "clean", "cut" or "open". */
export function stream(text, end = "clean") {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(text);
    if (end === "clean") response.end();
    if (end === "cut") setTimeout(() => response.destroy(), 20);
  };
}

export function status(code, headers = {}) {
  return (response) => {
    response.writeHead(code, { "content-type": "text/plain", ...headers });
    response.end("no stream");
  };
}

export async function collect(events) {
  const found = [];
  for await (const event of events) found.push(event.data);
  return found;
}
