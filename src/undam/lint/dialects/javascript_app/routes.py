"""Streaming responses and proxies in a JavaScript program."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from undam.lint.dialects.javascript_app.parser import (
    JavaScriptProgram,
    arguments,
    function_of,
    option,
    options,
    pair_of,
    parents,
)
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.evidence.names import address_of
from undam.lint.routes import AssessedRoute, Assessment, RouteHints, RouteOutcome, assess_route

if TYPE_CHECKING:
    from tree_sitter import Node

_EVENT_STREAM = "text/event-stream"
_METHODS = frozenset({"get", "post", "put", "patch", "delete", "all", "use", "route"})
_SETTERS = frozenset({"setHeader", "writeHead", "set", "header", "type", "append"})
_STREAM_RESPONSES = frozenset({
    "toDataStreamResponse", "toUIMessageStreamResponse", "toTextStreamResponse",
    "pipeDataStreamToResponse", "pipeUIMessageStreamToResponse", "pipeTextStreamToResponse",
    "streamSSE",
})  # fmt: skip
_NEXT_ROUTE = re.compile(r"(?:^|/)(?:app|pages)/((?:api/)?.*?)(?:/route)?\.[cm]?[jt]sx?$")
_REWRITE_LIMIT_S = 30.0
# Matches a timer whose callback writes an SSE comment.
_TIMER = re.compile(
    r"setInterval\([^;]{0,80}?(?:write|enqueue|send)\([^;]{0,40}?[\"'`]:[^;]{0,80};?[\s}]{0,9}, *"
    r"(\d[\d_]{0,15})\b"
)
# Authors write a time as a product, such as `10 * 60 * 1000`.
_MAX_FACTORS = 5
_INTEGER = re.compile(r"\d[\d_]{0,15}")
_GROUP = re.compile(r"/\([^)]*\)")
_PARAMETER = re.compile(r"/?(?::\w+[*+?]?|\(\.\*\)|\*\w*)$")


class RouteUse(Enum):
    """The way in which a program produces or forwards a stream."""

    RESPONSE = auto()
    """The program produces the stream."""
    MIDDLEWARE = auto()
    """http-proxy-middleware forwards the stream."""
    REWRITE = auto()
    """`rewrites()` of Next.js forwards the stream."""
    DEV_SERVER = auto()
    """A development server forwards the stream."""


@dataclass(frozen=True, slots=True, eq=False)
class ScriptRoute:
    """A streaming response or a proxy in a JavaScript program.

    Args:
        node: where it is defined: a string, a call or an entry of a configuration.
        function: the function that sends the response, or the program.
        config: the object literal with the options of a proxy; ``None`` for a response.
        registered: the call that registers the handler, or ``node`` if there is none.
    """

    use: RouteUse
    node: Node
    function: Node
    assessed: AssessedRoute
    config: Node | None = None
    registered: Node | None = None

    @property
    def position(self) -> int:
        """The byte offset at which the route's handler is registered."""
        return (self.registered or self.node).start_byte


def find_routes(script: JavaScriptProgram, hints: RouteHints) -> list[ScriptRoute]:
    """Return the routes in a program in text order."""
    found = [
        *_responses(script, hints),
        *_middlewares(script, hints),
        *_rewrites(script, hints),
        *_dev_servers(script, hints),
    ]
    return sorted(found, key=lambda one: one.node.start_byte)


def _responses(script: JavaScriptProgram, hints: RouteHints) -> Iterator[ScriptRoute]:
    seen: set[int] = set()
    for node in script.of_type("string", "template_string", "call_expression"):
        if node.type == "call_expression":
            is_stream = script.method(node) in _STREAM_RESPONSES
        else:
            text = script.string(node) or ""
            is_stream = text.lower().startswith(_EVENT_STREAM) and _is_sent(script, node)
        function = function_of(node)
        if is_stream and function.id not in seen:
            seen.add(function.id)
            registered = _registration(script, node, function)
            path = _path(script, registered)
            name = path or "the response"
            evidence = Assessment(RouteOutcome.STREAMS, ("the response is an event stream",))
            if hints.paths:
                evidence = assess_route(path or "/", (), hints)
            upstreams = tuple(_urls(script, function))
            route = _assessed(script, node, (name, path or "/"), upstreams, evidence)
            assert route.hop is not None
            heartbeat = _heartbeat(script.text(function))
            route = replace(route, hop=replace(route.hop, heartbeat_s=heartbeat))
            yield ScriptRoute(RouteUse.RESPONSE, node, function, route, registered=registered)


def _heartbeat(text: str) -> float | None:
    """Return the interval, in seconds, of a timer that sends SSE comments as heartbeats."""
    found = _TIMER.search(text)
    return int(found[1].replace("_", "")) / 1000 if found else None


def _is_sent(script: JavaScriptProgram, node: Node) -> bool:
    """Return whether a string is the content type of a response, not one in an Accept header."""
    for one in parents(node):
        if one.type == "pair":
            key = one.child_by_field_name("key")
            name = "" if key is None else script.text(key).strip("\"'").lower()
            if name in {"content-type", "contenttype"}:
                return not _is_request(script, one)
            return False
        if one.type == "call_expression":
            return script.method(one) in _SETTERS and "accept" not in script.text(one).lower()
        if one.type == "assignment_expression":
            left = one.child_by_field_name("left")
            written = "" if left is None else script.text(left)
            return written.endswith((".type", ".contentType"))
    return False


def _is_request(script: JavaScriptProgram, node: Node) -> bool:
    """Return whether a header belongs to a request."""
    for one in parents(node):
        if one.type in {"call_expression", "new_expression"}:
            return script.method(one) in {"fetch", "Request", "request", "fetchEventSource"}
    return False


def _registration(script: JavaScriptProgram, node: Node, function: Node) -> Node:
    """Return the argument by which a function is registered by name; ``node`` if there is none."""
    declared = function.child_by_field_name("name")
    around = function.parent
    if declared is None and around is not None and around.type == "variable_declarator":
        declared = around.child_by_field_name("name")
    name = "" if declared is None else script.text(declared)
    for call in script.calls if name else ():
        if script.method(call) in _METHODS:
            for one in arguments(call)[1:]:
                if script.text(one) == name:
                    return one
    return node


def _path(script: JavaScriptProgram, node: Node) -> str:
    """Return the path at which a handler is registered, or the path of a Next.js route file."""
    for one in parents(node):
        if one.type == "call_expression" and script.method(one) in _METHODS:
            values = arguments(one)
            path = script.string(values[0]) if len(values) > 1 else None
            if path is not None and path.startswith("/"):
                return path
    found = _NEXT_ROUTE.search(script.source.path.replace("\\", "/"))
    return "/" + _GROUP.sub("", "/" + found[1]).strip("/") if found else ""


def _urls(script: JavaScriptProgram, function: Node) -> Iterator[str]:
    for one in script.strings_in(function):
        text = script.string(one) or ""
        if text.startswith(("http://", "https://")):
            yield text


def _assessed(
    script: JavaScriptProgram,
    node: Node,
    names: tuple[str, str],
    upstreams: tuple[str, ...],
    assessment: Assessment,
    title: str = "Node.js application",
) -> AssessedRoute:
    line = script.line(node)
    name, hint = names
    folder = script.source.path.replace("\\", "/").rpartition("/")[0].rpartition("/")[2].lower()
    hosts = {address_of(one).host: None for one in upstreams}
    hop = Hop(
        Tier.APP,
        title,
        script.source.path,
        line,
        names=(folder,) if folder not in {"", "."} else (),
        upstreams=tuple(one for one in hosts if one),
    )
    upstream = upstreams[0] if upstreams else ""
    return AssessedRoute(script.source.path, line, name, upstream, assessment, hint, hop)


def _proxied(
    script: JavaScriptProgram, node: Node, path: str, upstream: str, hints: RouteHints, title: str
) -> AssessedRoute:
    """Return the route of a proxy. A proxy that forwards all backend paths may carry streams."""
    plain = _PARAMETER.sub("", path) or "/"
    upstream = re.sub(r"\$\{[^}]*\}", "", upstream)
    upstream = upstream if address_of(upstream).host else ""
    assessment = assess_route(plain, (upstream,) if upstream else (), hints)
    if assessment.outcome is RouteOutcome.UNKNOWN and not assessment.evidence and not hints.paths:
        phrase = "every path of a backend is forwarded"
        assessment = Assessment(RouteOutcome.MAYBE, (phrase,))
    upstreams = (upstream,) if upstream else ()
    return _assessed(script, node, (path, plain), upstreams, assessment, title)


def _middlewares(script: JavaScriptProgram, hints: RouteHints) -> Iterator[ScriptRoute]:
    for call in script.calls:
        if script.method(call) not in {"createProxyMiddleware", "legacyCreateProxyMiddleware"}:
            continue
        config = options(call)
        target = script.string(option(script, config, "target")) or ""
        values = arguments(call)
        own = script.string(values[0]) if values else None
        chosen = option(script, config, "pathFilter") or option(script, config, "context")
        path = own or script.string(chosen) or _path(script, call) or "/"
        route = _proxied(script, call, path, target, hints, "http-proxy-middleware")
        yield ScriptRoute(RouteUse.MIDDLEWARE, call, function_of(call), route, config)


def _rewrites(script: JavaScriptProgram, hints: RouteHints) -> Iterator[ScriptRoute]:
    """Yield the Next.js rewrites whose destination is another server."""
    for node in script.of_type("object"):
        source = script.string(option(script, node, "source"))
        destination = script.string(option(script, node, "destination"))
        if source is None or destination is None or not _in_rewrites(script, node):
            continue
        if destination.startswith(("http://", "https://", "${")):
            config = _config(script)
            route = _proxied(script, node, source, destination, hints, "Next.js")
            assert route.hop is not None
            limit = None if config is None else rewrite_limit(script, config)
            route = replace(route, hop=replace(route.hop, idle_limit_s=limit))
            yield ScriptRoute(RouteUse.REWRITE, node, function_of(node), route, config)


def rewrite_limit(script: JavaScriptProgram, config: Node) -> float | None:
    """Return the idle timeout of Next.js rewrites; ``None`` if the value is not a number."""
    value = option(script, option(script, config, "experimental"), "proxyTimeout")
    if value is None:
        return _REWRITE_LIMIT_S
    factors = [one.strip() for one in script.text(value).split("*", _MAX_FACTORS)]
    if not all(_INTEGER.fullmatch(one) for one in factors):
        return None
    return math.prod(int(one.replace("_", "")) for one in factors) / 1000


def _in_rewrites(script: JavaScriptProgram, node: Node) -> bool:
    for one in parents(node):
        key = one.child_by_field_name("key") or one.child_by_field_name("name")
        if key is not None and script.text(key) == "rewrites":
            return True
    return False


def _config(script: JavaScriptProgram) -> Node | None:
    """Return the object literal of a configuration with `rewrites`."""
    for node in script.of_type("object"):
        if pair_of(script, node, "rewrites") is not None:
            return node
    return None


def _dev_servers(script: JavaScriptProgram, hints: RouteHints) -> Iterator[ScriptRoute]:
    """Yield the proxies in the development servers of webpack and Vite."""
    keys = [("devServer", "webpack-dev-server")]
    if "defineConfig" in script.source.text:
        keys.append(("server", "Vite"))
    for node in script.of_type("object"):
        for key, title in keys:
            config = option(script, node, key)
            proxy = option(script, config, "proxy")
            if config is None or proxy is None:
                continue
            for path, entry in _proxies(script, proxy):
                target = script.string(entry) or script.string(option(script, entry, "target"))
                route = _proxied(script, entry, path, target or "", hints, title)
                yield ScriptRoute(RouteUse.DEV_SERVER, entry, script.root, route, config)


def _proxies(script: JavaScriptProgram, proxy: Node) -> Iterator[tuple[str, Node]]:
    """Yield the path and options of each entry in `proxy`, which may be an object or a list."""
    for one in proxy.named_children:
        if one.type == "pair":
            key, value = one.child_by_field_name("key"), one.child_by_field_name("value")
            assert key is not None  # the grammar requires a key and a value
            assert value is not None
            yield script.string(key) or script.text(key), value
        elif one.type == "object":
            context = option(script, one, "context")
            named = () if context is None else script.strings_in(context)
            paths = [script.string(text) or "/" for text in named]
            yield (paths or ["/"])[0], one
