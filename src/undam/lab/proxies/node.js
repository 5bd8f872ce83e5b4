// A relay in Node.js: node node.js KIND PORT UPSTREAM_HOST UPSTREAM_PORT
"use strict";

const http = require("http");

const [kind, port, host, upstreamPort] = process.argv.slice(2);
const target = `http://${host.includes(":") ? `[${host}]` : host}:${upstreamPort}`;

// Forward one request and pipe the response back. A listener registered before the pipe runs before
// a chunk is written, and one registered after it runs after the write.
function relay(request, response, { beforeWrite, afterWrite } = {}) {
  const forwarded = http.request(
    { host, port: upstreamPort, method: request.method, path: request.url, headers: request.headers },
    (upstreamResponse) => {
      response.writeHead(upstreamResponse.statusCode, upstreamResponse.headers);
      if (beforeWrite) upstreamResponse.on("data", beforeWrite);
      upstreamResponse.pipe(response);
      if (afterWrite) upstreamResponse.on("data", afterWrite);
      upstreamResponse.on("aborted", () => response.destroy());
    },
  );
  forwarded.on("error", () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.on("close", () => forwarded.destroy());
  request.pipe(forwarded);
}

function compressed(flushAt) {
  const app = require("express")();
  app.use(require("compression")());
  app.use((request, response) => relay(request, response, { [flushAt]: () => response.flush() }));
  return app;
}

function proxied() {
  const proxy = require("http-proxy").createProxyServer({ target });
  proxy.on("error", (error, request, response) => response.destroy());
  return (request, response) => proxy.web(request, response);
}

function middleware() {
  const { createProxyMiddleware } = require("http-proxy-middleware");
  return require("express")().use(createProxyMiddleware({ target }));
}

const handlers = {
  plain: () => relay,
  compression: () => compressed("never"),
  "compression-flush": () => compressed("afterWrite"),
  "compression-flush-before": () => compressed("beforeWrite"),
  "http-proxy": proxied,
  "http-proxy-middleware": middleware,
};

const handler = handlers[kind]();
http.createServer((request, response) => handler(request, response)).listen(Number(port), "127.0.0.1");
