"""Rules JSA201 and JSA301: headers of event streams, and browser connection limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at, for_route
from undam.lint.dialects.javascript_app.parser import (
    JavaScriptProgram,
    arguments,
    loops_of,
    option,
    parents,
    walk,
)
from undam.lint.dialects.javascript_app.routes import RouteUse, ScriptRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit

if TYPE_CHECKING:
    from tree_sitter import Node

HEADERS = ConfigRule(
    code="JSA201",
    slug="proxy-headers-missing",
    severity=Severity.INFO,
    message="the response headers lack {missing}, so proxies may compress or buffer the stream",
    safety=Safety.SAFE,
    what="An event stream is sent without the headers that prevent proxies from holding it.",
    why="""
        By default, nginx buffers every response that does not have the header `X-Accel-Buffering:
        no`. Compression in proxies, CDNs and middleware holds small events unless `Cache-Control`
        contains `no-transform`.
    """,
    detection="""
        A function sends `text/event-stream`, and its source code lacks `no-transform`,
        `X-Accel-Buffering`, or both. `undam check` reports missing headers as UD202.
    """,
    measured="""
        nginx 1.22.1 held a stream in blocks of 4 KB; with `X-Accel-Buffering: no`, each event
        arrived immediately.
    """,
    fix="""
        Send `Cache-Control: no-transform` and `X-Accel-Buffering: no`.

            res.setHeader("Cache-Control", "no-cache, no-transform");
            res.setHeader("X-Accel-Buffering", "no");
    """,
    source="RFC 9111, section 5.2.2.6, no-transform; nginx.org, proxy_buffering",
)

CONNECTIONS = ConfigRule(
    code="JSA301",
    slug="event-source-connections",
    severity=Severity.WARNING,
    message="{count} can exceed the six HTTP/1.1 connections that a browser opens to a server",
    safety=Safety.NONE,
    what="A page opens several `EventSource` connections to the same server.",
    why="""
        Browsers open at most six HTTP/1.1 connections to a server, shared by all tabs. Each
        `EventSource` keeps one connection open, so further requests from the page wait without an
        error.
    """,
    detection="""
        `new EventSource` is called in a loop, in `map` or in `forEach`, or more than six times in a
        file. HTTP/2 has no such limit, but the HTTP version is not visible in the file.
    """,
    measured="""
        The limit was not measured, but is documented for Chrome and Firefox.
    """,
    fix="""
        Serve the page over HTTP/2, or receive all events through one connection.

            const source = new EventSource("/events?topics=a,b,c");
    """,
    source="html.spec.whatwg.org, section 9.2; MDN, EventSource, warning about HTTP/1.1",
)

RULES = (HEADERS, CONNECTIONS)

_TRANSFORM = re.compile(r"no-transform", re.IGNORECASE)
_ACCEL = re.compile(r"x-accel-buffering", re.IGNORECASE)
_MAX_CONNECTIONS = 6
_REPEATS = frozenset({"map", "forEach"})


def find(script: JavaScriptProgram, routes: list[ScriptRoute]) -> Iterator[Diagnostic]:
    """Find event streams without `no-transform` or `X-Accel-Buffering`."""
    for route in routes:
        if route.use is not RouteUse.RESPONSE or route.node.type == "call_expression":
            continue
        text = script.text(route.function)
        missing = [
            name
            for name, pattern in (("no-transform", _TRANSFORM), ("X-Accel-Buffering", _ACCEL))
            if pattern.search(text) is None
        ]
        if missing:
            edits = _edits(script, route, missing)
            found = diagnostic_at(
                HEADERS, script.source, script.span(route.node), *edits,
                missing=" and ".join(missing),
            )  # fmt: skip
            yield from for_route(route.assessed, [found])


def _edits(script: JavaScriptProgram, route: ScriptRoute, missing: list[str]) -> list[Edit]:
    """Return the edits that add the missing headers next to the content type."""
    around = next(parents(route.node))
    edits: list[Edit] = []
    new: list[tuple[str, str]] = []
    if "no-transform" in missing:
        cache = _cache_control(script, route.function)
        if cache is None:
            new.append(("Cache-Control", "no-cache, no-transform"))
        else:
            end = script.end(cache) - 1
            edits.append(Edit(end, end, ", no-transform"))
    if "X-Accel-Buffering" in missing:
        new.append(("X-Accel-Buffering", "no"))
    quote = script.text(route.node)[0]
    if around.type == "pair":
        end = script.end(around)
        text = "".join(f", {quote}{name}{quote}: {quote}{value}{quote}" for name, value in new)
        return [*edits, Edit(end, end, text)] if text else edits
    call = next((one for one in parents(route.node) if one.type == "call_expression"), None)
    statement = None if call is None else call.parent
    if call is None or statement is None or statement.type != "expression_statement":
        return []
    if script.method(call) != "setHeader":
        return []
    callee = script.callee(call)
    _, line_end = script.source.line_span(script.end(statement))
    rest = script.source.text[script.end(statement) : line_end].strip()
    if rest:  # other statements follow on the same line
        text = "".join(f" {callee}({quote}{n}{quote}, {quote}{v}{quote});" for n, v in new)
        return [*edits, Edit(script.end(statement), script.end(statement), text)]
    indent = script.source.indent_at(script.start(statement))
    text = "".join(f"\n{indent}{callee}({quote}{n}{quote}, {quote}{v}{quote});" for n, v in new)
    return [*edits, Edit(script.end(statement), script.end(statement), text)]


def _cache_control(script: JavaScriptProgram, function: Node) -> Node | None:
    """Return the string literal that contains the Cache-Control value in a function."""
    for one in walk(function):
        if one.type == "object":
            value = option(script, one, "cache-control")
            if script.string(value):
                return value
        elif one.type == "call_expression":
            values = arguments(one)
            name = script.string(values[0]) if len(values) == 2 else None
            if name is not None and name.lower() == "cache-control" and script.string(values[1]):
                return values[1]
    return None


def find_connections(script: JavaScriptProgram) -> Iterator[Diagnostic]:
    """Find pages that may open more EventSource connections than browsers permit."""
    opened = [
        node for node in script.of_type("new_expression") if script.callee(node) == "EventSource"
    ]
    if len(opened) > _MAX_CONNECTIONS:
        yield _connections(script, opened[_MAX_CONNECTIONS], f"{len(opened)} EventSource objects")
        return
    for node in opened:
        if any(loops_of(node)) or _is_repeated(script, node):
            yield _connections(script, node, "an EventSource for each item")


def _connections(script: JavaScriptProgram, node: Node, count: str) -> Diagnostic:
    return diagnostic_at(CONNECTIONS, script.source, script.span(node), count=count)


def _is_repeated(script: JavaScriptProgram, node: Node) -> bool:
    return any(
        one.type == "call_expression" and script.method(one) in _REPEATS for one in parents(node)
    )
