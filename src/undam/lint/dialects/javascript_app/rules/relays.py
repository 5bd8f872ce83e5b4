"""Rules JSA102 and JSA104: handlers that collect an entire stream before they respond."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at, for_route
from undam.lint.dialects.javascript_app.parser import (
    FUNCTIONS,
    JavaScriptProgram,
    function_of,
    parents,
    walk,
)
from undam.lint.dialects.javascript_app.routes import RouteUse, ScriptRoute
from undam.rules import Severity

if TYPE_CHECKING:
    from tree_sitter import Node

INTERCEPTOR = ConfigRule(
    code="JSA102",
    slug="response-interceptor-collects",
    severity=Severity.ERROR,
    message="responseInterceptor collects the whole response of {path} before it sends a byte",
    safety=Safety.NONE,
    what="`responseInterceptor` from `http-proxy-middleware` processes a streamed response.",
    why="""
        The interceptor needs the complete body, so it reads the whole stream first. The interceptor
        adds a `Content-Length`, and the response arrives as one block.
    """,
    detection="A route that streams uses `createProxyMiddleware` with `responseInterceptor`.",
    measured="`http-proxy-middleware` 3.0.10: 15 events arrived in one read at the end.",
    fix="""
        Use a proxy without an interceptor for streaming routes.

            app.use("/v1", createProxyMiddleware({ target }));
    """,
    source=(
        "measured on loopback with http-proxy-middleware 3.0.10; documentation of "
        "http-proxy-middleware, Intercept Responses"
    ),
)

COLLECTS = ConfigRule(
    code="JSA104",
    slug="handler-collects-stream",
    severity=Severity.WARNING,
    message="{what}, so the caller receives nothing before the model has finished",
    safety=Safety.NONE,
    what="""
        A handler requests a stream from a model and collects the whole stream before it sends a
        response.
    """,
    why="Users wait for the whole answer, although the model sends each token immediately.",
    detection="""
        The result of a request with `stream: true` is read with `text()` or `json()`, or collected
        in a loop that only appends. Reading the body of an error response is not reported. If
        collecting is intended, for instance in a background job, suppress the finding.
    """,
    measured="""
        Express 4.22.3: 15 events that the upstream sent 40 ms apart arrived together at the end.
    """,
    fix="""
        Forward the body of the upstream response as a stream.

            return new Response(upstream.body, { headers: upstream.headers });
    """,
    source="measured on loopback with Node.js 20; fetch.spec.whatwg.org, Body",
)

RULES = (INTERCEPTOR, COLLECTS)

_STREAM_OPTION = re.compile(r"[\"']?\bstream[\"']?\s*:\s*true\b")
_READS_ALL = frozenset({"text", "json", "arrayBuffer", "blob"})
_ERROR_CHECK = re.compile(r"\.ok\b|\.status\b|statusCode")
_COLLECTING = re.compile(r"\+=|\.push\(|\.concat\(")
_SENDS = re.compile(
    r"\.(?:write|enqueue|send|emit|next|postMessage|log|info)\(|\byield\b|on\w+\(|callback"
    r"|\bset[A-Z]\w*\("
)
_ANSWERS = re.compile(
    r"\.(?:json|send|end)\(|new Response\(|\bResponse\.json\(|\.body\s*=|return\b"
)


def find(script: JavaScriptProgram, routes: list[ScriptRoute]) -> Iterator[Diagnostic]:
    """Find handlers that collect an entire stream before they respond."""
    for route in routes:
        if route.use is RouteUse.MIDDLEWARE:
            for call in walk(route.node):
                is_call = call.type == "call_expression"
                if is_call and script.method(call) == "responseInterceptor":
                    span = script.span(call.child_by_field_name("function") or call)
                    found = diagnostic_at(
                        INTERCEPTOR, script.source, span, path=route.assessed.name
                    )
                    yield from for_route(route.assessed, [found])
    for call in script.calls:
        if script.method(call) in _READS_ALL:
            yield from _read_whole(script, call)
    for loop in script.of_type("for_in_statement"):
        yield from _collected(script, loop)
    for loop in script.of_type("while_statement", "do_statement", "for_statement"):
        yield from _read_in_loop(script, loop)


def _read_whole(script: JavaScriptProgram, call: Node) -> Iterator[Diagnostic]:
    """Find `await response.text()` on a response that was requested as a stream."""
    function = call.child_by_field_name("function")
    value = None if function is None else function.child_by_field_name("object")
    if value is None or value.type != "identifier" or not _is_handler(script, call):
        return
    request = script.value_of(script.text(value), call)
    if request is None or not _requests_stream(script, request, function_of(call)):
        return
    if _reads_error(script, call):
        return
    what = f"`{script.method(call)}()` collects the stream"
    yield diagnostic_at(COLLECTS, script.source, script.span(call), what=what)


def _reads_error(script: JavaScriptProgram, call: Node) -> bool:
    """Return whether a call is reached only after a check of the response status."""
    inner = takewhile(lambda one: one.type not in FUNCTIONS, parents(call))
    conditions = [
        one.child_by_field_name("condition") for one in inner if one.type == "if_statement"
    ]
    return any(one is not None and _ERROR_CHECK.search(script.text(one)) for one in conditions)


def _requests_stream(script: JavaScriptProgram, request: Node, function: Node) -> bool:
    """Return whether a request asks for a stream, in its own text or in its body variable."""
    text = script.text(request)
    if "fetch(" not in text and ".post(" not in text and ".create(" not in text:
        return False
    if _STREAM_OPTION.search(text):
        return True
    if "body" not in text:
        return False
    return function_of(request).id == function.id and any(
        _STREAM_OPTION.search(script.text(one))
        for one in script.of_type("variable_declarator")
        if function_of(one).id == function.id and one.start_byte < request.start_byte
    )


def _is_handler(script: JavaScriptProgram, node: Node) -> bool:
    """Return whether a node is inside a function that handles requests."""
    for one in parents(node):
        if one.type not in FUNCTIONS:
            continue
        parameters = one.child_by_field_name("parameters") or one.child_by_field_name("parameter")
        written = "" if parameters is None else script.text(parameters)
        if re.search(r"\b(?:req|request|res|reply|ctx|context|c)\b", written):
            return True
        name = one.child_by_field_name("name")
        if name is not None and script.text(name) in {"GET", "POST", "PUT", "handler"}:
            return True
    return False


def _collected(script: JavaScriptProgram, loop: Node) -> Iterator[Diagnostic]:
    """Find a `for await` loop that only collects a stream, and whose function then responds."""
    right, body = loop.child_by_field_name("right"), loop.child_by_field_name("body")
    if right is None or body is None or not script.text(loop).startswith("for await"):
        return
    request = right
    if right.type == "identifier":
        request = script.value_of(script.text(right), loop) or right
    text = script.text(body)
    if not _STREAM_OPTION.search(script.text(request)) or not _is_handler(script, loop):
        return
    if _only_collects(script, loop, text):
        span = script.span(right)
        yield diagnostic_at(COLLECTS, script.source, span, what="the loop collects the stream")


def _read_in_loop(script: JavaScriptProgram, loop: Node) -> Iterator[Diagnostic]:
    """Find a `reader.read()` loop that only collects a stream, and whose function then responds."""
    function = function_of(loop)
    read = next(
        (
            one
            for one in walk(loop)
            if one.type == "call_expression" and script.callee(one).endswith("reader.read")
        ),
        None,
    )
    if read is None or not _is_handler(script, loop):
        return
    requests_stream = any(
        _requests_stream(script, one, function)
        for one in walk(function)
        if one.type == "variable_declarator" and "fetch(" in script.text(one)
    )
    if requests_stream and _only_collects(script, loop, script.text(loop)):
        span = script.span(read)
        yield diagnostic_at(COLLECTS, script.source, span, what="the loop collects the stream")


def _only_collects(script: JavaScriptProgram, loop: Node, text: str) -> bool:
    """Return whether a loop only appends, and its function sends the response after the loop."""
    if not _COLLECTING.search(text) or _SENDS.search(text):
        return False
    rest = script.raw[loop.end_byte : function_of(loop).end_byte].decode("utf-8", "replace")
    return _ANSWERS.search(rest) is not None
