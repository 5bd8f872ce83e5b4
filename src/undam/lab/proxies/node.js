// A relay in Node.js: node node.js KIND PORT UPSTREAM_HOST UPSTREAM_PORT
"use strict";

const http = require("http");

const [kind, port, host, upstreamPort] = process.argv.slice(2);
const target = `http://${host.includes(":") ? `[${host}]` : host}:${upstreamPort}`;

// Pass one request on and pipe the answer back. A listener that comes before the pipe's own runs
// before the read is written on, and one that comes after it, after.
function relay(request, response, { beforeWrite, afterWrite } = {}) {
  const onward = http.request(
    { host, port: upstreamPort, method: request.method, path: request.url, headers: request.headers },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      if (beforeWrite) answer.on("data", beforeWrite);
      answer.pipe(response);
      if (afterWrite) answer.on("data", afterWrite);
      answer.on("aborted", () => response.destroy());
    },
  );
  onward.on("error", () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.on("close", () => onward.destroy());
  request.pipe(onward);
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
