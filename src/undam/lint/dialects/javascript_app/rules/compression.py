"""Rules JSA101, JSA103 and JSA105: compression that does not flush after each event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from undam.lint.diagnostics import (
    ConfigRule,
    Diagnostic,
    Safety,
    diagnostic_at,
    for_route,
    if_anything_streams,
)
from undam.lint.dialects.javascript_app.parser import (
    JavaScriptProgram,
    arguments,
    option,
    options,
    pair_of,
    parents,
)
from undam.lint.dialects.javascript_app.routes import RouteUse, ScriptRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit

if TYPE_CHECKING:
    from tree_sitter import Node

MIDDLEWARE = ConfigRule(
    code="JSA101",
    slug="compression-holds-stream",
    severity=Severity.ERROR,
    message="{library} compresses event streams and holds them in blocks of compressed output",
    safety=Safety.SAFE,
    what="""
        A compression middleware of Express, Koa or Fastify also compresses event streams, because
        it treats `text/event-stream` as compressible.
    """,
    why="""
        The compressor is flushed only at the end of the response, or after about 10 KB of output.
        The browser receives the response head immediately, but all events of an answer arrive
        together.
    """,
    detection="""
        `compression()` or `compress()` is used without a `filter`. A handler after it sends an
        event stream without `no-transform` and does not call `flush()`. The plugin
        `@fastify/compress` does not compress event streams unless `customTypes` includes them.
    """,
    measured="""
        `compression` 1.8.2: 120 events arrived in one read after 3.0 s. With `Cache-Control:
        no-transform`, or with a filter that excludes event streams, each event arrived immediately.
    """,
    fix="""
        Exclude event streams from compression.

            app.use(compression({
              filter: (req, res) =>
                !/event-stream/.test(String(res.getHeader("Content-Type"))) &&
                compression.filter(req, res),
            }));
    """,
    source="measured on loopback with compression 1.8.2; README of compression, Server-Sent Events",
)

REWRITES = ConfigRule(
    code="JSA103",
    slug="rewrites-compressed",
    severity=Severity.WARNING,
    message="Next.js compresses responses through rewrites() and holds the streams of {path}",
    safety=Safety.UNSAFE,
    what="`rewrites()` in Next.js forwards a stream from another server while `compress` is on.",
    why="""
        Next.js compresses the forwarded response without flushing the compressor, so all events
        arrive at the end. Only clients that accept gzip are affected. Browsers accept gzip; by
        default, curl does not.
    """,
    detection="""
        The configuration has a rewrite to another server and does not set `compress: false` (the
        default is true). Streams of route handlers are flushed and are not affected. A response
        with `no-transform` is not compressed, but the file does not show whether the server sends
        `no-transform`.
    """,
    measured="""
        Next.js 16.4.6: through a rewrite, 60 events arrived in one read at the end; route handlers
        streamed.
    """,
    fix="""
        Turn compression off in Next.js, and let the proxy in front of it compress responses.
        Alternatively, let the backend send `Cache-Control: no-transform`.

            module.exports = { compress: false }
    """,
    source="measured on loopback with next 16.4.6; nextjs.org, compress; vercel/next.js#66263",
)

DEV_SERVER = ConfigRule(
    code="JSA105",
    slug="dev-server-compresses",
    severity=Severity.WARNING,
    message="webpack-dev-server compresses proxied responses and holds the streams of {path}",
    safety=Safety.SAFE,
    what="webpack's development server forwards a stream while `compress` is on.",
    why="""
        The development server uses the `compression` middleware, which does not flush. Streams work
        in production but arrive in one block during development.
    """,
    detection="""
        `devServer` sets `proxy` but not `compress: false`. Since version 4, `compress` is true by
        default. Vite's development proxy does not compress responses.
    """,
    measured="`compression` 1.8.2, which webpack-dev-server uses: all events arrived at the end.",
    fix="""
        Turn compression off in development.

            devServer: { compress: false, proxy: [...] }
    """,
    source="webpack.js.org, devServer.compress; facebook/create-react-app#1633",
)

RULES = (MIDDLEWARE, REWRITES, DEV_SERVER)

_LIBRARIES = {
    "compression": "compression()",
    "koa-compress": "koa-compress",
    "@fastify/compress": "@fastify/compress",
    "fastify-compress": "@fastify/compress",
}
_FREE = re.compile(r"no-transform|\.flush\(|Content-Encoding|content-encoding")
_COMPRESSES_STREAMS = re.compile(r"event-stream|text\\?/(?:\\?\*|\.\*)|/\.\*/|=>\s*true")


def find(script: JavaScriptProgram, routes: list[ScriptRoute]) -> Iterator[Diagnostic]:
    """Find compression that affects the streams in a program."""
    handlers = [one for one in routes if one.use in {RouteUse.RESPONSE, RouteUse.MIDDLEWARE}]
    for call in script.calls:
        library = _library(script, call)
        if library is None or _leaves_streams(script, call, library):
            continue
        span = script.span(call)
        found = diagnostic_at(
            MIDDLEWARE, script.source, span, *_filter(script, call, library), library=library
        )
        harmed = [one for one in handlers if _covers(script, call, one)]
        for route in harmed:
            yield from for_route(route.assessed, [found])
        if not handlers:
            yield if_anything_streams(found)
    yield from _configured(script, routes)


def _library(script: JavaScriptProgram, call: Node) -> str | None:
    """Return the compression library that a call uses."""
    function = call.child_by_field_name("function")
    assert function is not None  # the grammar requires this field
    if script.method(call) == "register":
        names = [script.imports.get(script.text(one), "") for one in arguments(call)[:1]]
        required = [script.required(one) for one in arguments(call)[:1]]
        found = _LIBRARIES.get(next(filter(None, (*names, *required)), ""))
        return found if found == "@fastify/compress" else None
    if function.type == "call_expression":
        module = script.required(function)
    elif function.type == "identifier":
        module = script.imports.get(script.text(function))
    else:
        module = None
    found = _LIBRARIES.get(module or "")
    return None if found == "@fastify/compress" else found


def _leaves_streams(script: JavaScriptProgram, call: Node, library: str) -> bool:
    config = options(call)
    if library == "@fastify/compress":
        types = option(script, config, "customTypes")
        return types is None or _COMPRESSES_STREAMS.search(script.text(types)) is None
    values = arguments(call)
    if values and config is None:
        return True  # the options are defined elsewhere
    return pair_of(script, config, "filter") is not None


def _covers(script: JavaScriptProgram, call: Node, route: ScriptRoute) -> bool:
    """Return whether a compression middleware applies to the responses of a route."""
    if _FREE.search(script.text(route.function)) and route.function.type != "program":
        return False
    if "reply.raw" in script.text(route.function):
        return False  # writing to reply.raw bypasses Fastify hooks
    registration = next((one for one in parents(call) if one.type == "call_expression"), None)
    if registration is None:
        return True
    values = arguments(registration)
    path = script.string(values[0]) if values else None
    is_used = script.method(registration) in {"use", "register"}
    if path is not None and not is_used:
        return registration.start_byte <= route.position <= registration.end_byte
    if path is not None and not route.assessed.name.startswith(path):
        return False
    return registration.start_byte < route.position


def _filter(script: JavaScriptProgram, call: Node, library: str) -> list[Edit]:
    """Return the edits that exclude event streams from compression."""
    function = call.child_by_field_name("function")
    assert function is not None  # the grammar requires this field
    if function.type != "identifier":
        return []
    name = script.text(function)
    text = "filter: (type) => !/event-stream/.test(type)"
    if library == "compression()":
        text = (
            'filter: (req, res) => !/event-stream/.test(String(res.getHeader("Content-Type"))) && '
            f"{name}.filter(req, res)"
        )
    config = options(call)
    if config is None:
        end = script.end(call) - 1
        return [Edit(end, end, f"{{ {text} }}")]
    start = script.start(config) + 1
    more = "," if config.named_children else ""
    return [Edit(start, start, f" {text}{more}")]


def _configured(script: JavaScriptProgram, routes: list[ScriptRoute]) -> Iterator[Diagnostic]:
    """Find compression in Next.js and webpack configurations."""
    for route in routes:
        rule = {RouteUse.REWRITE: REWRITES, RouteUse.DEV_SERVER: DEV_SERVER}.get(route.use)
        is_vite = route.assessed.hop is not None and route.assessed.hop.title == "Vite"
        if rule is None or is_vite or route.config is None:
            continue
        value = option(script, route.config, "compress")
        if value is not None and script.text(value) != "true":
            continue
        if value is not None:
            edit = Edit(script.start(value), script.end(value), "false")
            span = script.span(value.parent or value)
        else:
            name = "rewrites" if rule is REWRITES else "proxy"
            pair = pair_of(script, route.config, name)
            assert pair is not None  # the route was found in this key-value pair
            edit = Edit(script.start(pair), script.start(pair), "compress: false, ")
            span = _key_span(script, pair)
        found = diagnostic_at(rule, script.source, span, edit, path=route.assessed.name)
        yield from for_route(route.assessed, [found])


def _key_span(script: JavaScriptProgram, pair: Node) -> tuple[int, int]:
    key = pair.child_by_field_name("key") or pair.child_by_field_name("name") or pair
    return script.span(key)
