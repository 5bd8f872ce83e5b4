// A relay in Node.js with middleware: node relays.js KIND PORT UPSTREAM
"use strict";

const [kind, port, upstream] = process.argv.slice(2);
const listen = { port: Number(port), host: "127.0.0.1" };

async function fastify(compressing) {
  const app = require("fastify")();
  const customTypes = /^text\/|json$/; // without this pattern, event streams are not compressed
  if (compressing) await app.register(require("@fastify/compress"), { global: true, customTypes });
  await app.register(require("@fastify/http-proxy"), { upstream });
  await app.listen(listen);
}

function express(intercepting) {
  const { createProxyMiddleware, responseInterceptor } = require("http-proxy-middleware");
  const interceptor = { proxyRes: responseInterceptor(async (body) => body) };
  const options = intercepting ? { selfHandleResponse: true, on: interceptor } : {};
  const app = require("express")();
  app.use(createProxyMiddleware({ target: upstream, changeOrigin: true, ...options }));
  app.listen(listen.port, listen.host);
}

const relays = {
  "fastify-compress": () => fastify(true),
  fastify: () => fastify(false),
  "express-interceptor": () => express(true),
  express: () => express(false),
};

relays[kind]();
