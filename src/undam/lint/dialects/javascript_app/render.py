"""Renderer of a Node.js program that relays a stream."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a program that relays the path to the upstream and returns 404 for other paths."""
    require_literal_values(request, "JavaScript")
    host, _, port = request.listen.rpartition(":")
    return f"""\
// Relay a streaming route with Node.js: node relay.mjs
import http from "node:http";

const UPSTREAM = "{request.upstream}";
const PREFIX = "{request.path}";
const IDLE_MS = {request.idle_s * 1000:.0f};

const server = http.createServer((req, res) => {{
  if (!req.url.startsWith(PREFIX)) {{
    res.writeHead(404).end();
    return;
  }}
  const options = {{ method: req.method, headers: req.headers, timeout: IDLE_MS }};
  const upstream = http.request(UPSTREAM + req.url, options, (response) => {{
    res.writeHead(response.statusCode, response.headers);
    // Without this call, the head waits for the first bytes of the body.
    res.flushHeaders();
    response.pipe(res);
    response.on("error", () => res.destroy());
    response.on("aborted", () => res.destroy());
  }});
  upstream.on("timeout", () => upstream.destroy(new Error("idle")));
  upstream.on("error", () => (res.headersSent ? res.destroy() : res.writeHead(502).end()));
  res.on("close", () => upstream.destroy());
  req.pipe(upstream);
}});
// The default of 300 s would limit uploads, and no limit is needed for the response.
server.requestTimeout = 0;
server.listen({port}, "{host.strip("[]")}");
"""
