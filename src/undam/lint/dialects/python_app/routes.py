"""Streaming responses in a Python program, and the generators that produce them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from undam.lint.dialects.python_app.parser import (
    FunctionNode,
    PythonProgram,
    dict_items,
    keyword,
    last_name,
    number_of,
    text_of,
)
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.evidence.names import address_of
from undam.lint.routes import AssessedRoute, Assessment, RouteHints, RouteOutcome, assess_route

_URL = re.compile(r"https?://[\w.-]+(?::\d+)?[^\s\"']*")
_MODEL_CALL = re.compile(
    r"chat\.completions|completions\.create|responses\.(?:create|stream)|messages\.(?:create|stream)"
    r"|generate_content|(?:^|\.)(?:llm|model|chain|agent|graph|ollama|engine)[\w.]*\.(?:a?stream|generate|chat)"
    r"|acompletion|litellm\.completion"
)
_EVENT_FIELD = re.compile(r"(?:data|event|id|retry|):")
_MAX_HELPERS = 4
_DEFAULT_HEARTBEAT_S = 15.0
_WAITS = frozenset({"wait_for", "timeout", "move_on_after", "wait"})
_METHODS = frozenset({"get", "post", "put", "patch", "delete", "route", "api_route", "websocket"})
# Calls that register a handler function for a path.
_REGISTRATIONS = frozenset({"Route", "path", "re_path", "add_route", "add_get", "add_post"})
_CONTENT = ("content", "streaming_content", "response")
_MEDIA = ("media_type", "mimetype", "content_type")


class StreamKind(Enum):
    """The media type of a response."""

    SSE = auto()
    JSON_LINES = auto()
    TEXT = auto()
    """Plain text, or no media type at all."""
    DYNAMIC = auto()
    """The media type is known only at run time."""
    FILE = auto()
    """A media type of files, which are not streams of events."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamingRoute:
    """A streaming response and the functions that produce it.

    Args:
        call: the call that creates the response.
        framework: display name of the framework.
        generators: the generators of the response, and those that they iterate over.
        handler: the function that returns the response; ``None`` at module level.
    """

    call: ast.Call
    framework: str
    kind: StreamKind
    generators: tuple[FunctionNode, ...]
    handler: FunctionNode | None
    assessed: AssessedRoute

    @property
    def functions(self) -> tuple[FunctionNode, ...]:
        """The generators and the handler, without duplicates."""
        handler = () if self.handler is None else (self.handler,)
        return tuple(dict.fromkeys((*self.generators, *handler)))


def find_routes(program: PythonProgram, hints: RouteHints) -> list[StreamingRoute]:
    """Return the streaming responses in a program in text order."""
    found = []
    for call in program.calls:
        framework = _framework(program, call)
        if framework is not None:
            found.append(_route(program, call, framework, hints))
    if program.imports_any("flask", "quart"):
        framework = "Quart" if program.imports_any("quart") else "Flask"
        for returned in program.nodes:
            content = _returned_stream(program, returned)
            if content is not None:
                found.append(_route(program, content, framework, hints))
    found.sort(key=lambda one: (one.call.lineno, one.call.col_offset))
    return [_with_hop(program, one) for one in found]


def _framework(program: PythonProgram, call: ast.Call) -> str | None:
    """Return the framework of the streaming response that a call creates, or ``None``."""
    name = program.called(call)
    last = last_name(name)
    if last in {"StreamingResponse", "EventSourceResponse"}:
        return "FastAPI" if program.imports_any("fastapi") else "Starlette"
    if last == "StreamingHttpResponse":
        return "Django"
    if last == "EventStream" and name.startswith("undam."):
        return "undam.asgi"
    if name in {"aiohttp.web.StreamResponse", "aiohttp.StreamResponse"}:
        return "aiohttp"
    is_response = name.startswith(("flask.Response", "werkzeug.", "quart.Response"))
    if (is_response or last in {"response_class", "make_response"}) and _has_iterable(
        program, call
    ):
        return "Quart" if program.imports_any("quart") else "Flask"
    if last in {"get", "post", "api_route"} and _marks_generator(program, call):
        return "FastAPI"
    return None


def _returned_stream(program: PythonProgram, node: ast.AST) -> ast.Call | None:
    """Return the generator call in a Flask ``return generate(), headers`` statement."""
    if not isinstance(node, ast.Return):
        return None
    value = node.value
    content = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
    if isinstance(content, ast.Call) and _framework(program, content) is None:
        return content if _generators(program, content, content) else None
    return None


def is_returned(program: PythonProgram, call: ast.Call) -> bool:
    """Return whether a handler returns the generator itself instead of a response."""
    return _framework(program, call) is None


def _has_iterable(program: PythonProgram, call: ast.Call) -> bool:
    """Return whether the body of a Flask response is a generator."""
    content = _content(call)
    if isinstance(content, ast.GeneratorExp) or _generators(program, content, call):
        return True
    if isinstance(content, ast.Name):
        content = program.value_of(content.id, call)
    if not isinstance(content, ast.Call):
        return False
    return last_name(program.called(content)) in {
        "stream_with_context", "iter_content", "iter_lines", "iter_raw", "iter_bytes",
    }  # fmt: skip


def _marks_generator(program: PythonProgram, call: ast.Call) -> bool:
    """Return whether a FastAPI decorator turns the events of a generator into the response."""
    response = keyword(call, "response_class")
    if response is None or last_name(program.dotted(response)) != "EventSourceResponse":
        return False
    return program.is_generator(next(program.parents(call), program.tree))


def _route(
    program: PythonProgram, call: ast.Call, framework: str, hints: RouteHints
) -> StreamingRoute:
    around = next(program.parents(call), program.tree)
    scope = program.scope_of(call)
    handler = scope if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) else None
    generators: tuple[FunctionNode, ...]
    if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and call in around.decorator_list:
        handler, generators = around, (around,)
    elif framework == "aiohttp":
        generators = () if handler is None else (handler,)
    else:
        content = call if is_returned(program, call) else _content(call)
        generators = _with_helpers(program, _generators(program, content, call))
    kind = _kind(program, call)
    path = _path(program, handler)
    name = path or (f"{handler.name}()" if handler else "the response")
    route = StreamingRoute(
        call, framework, kind, generators, handler,
        AssessedRoute(program.source.path, program.line(call), name, "", _UNASSESSED, path or "/"),
    )  # fmt: skip
    upstreams = tuple(_upstreams(program, route.functions))
    assessment = _assess(program, route, path, upstreams, hints)
    upstream = upstreams[0] if upstreams else ""
    assessed = replace(route.assessed, upstream=upstream, assessment=assessment)
    return replace(route, assessed=assessed)


_UNASSESSED = Assessment(RouteOutcome.UNKNOWN)


def _assess(
    program: PythonProgram,
    route: StreamingRoute,
    path: str,
    upstreams: tuple[str, ...],
    hints: RouteHints,
) -> Assessment:
    assessed = assess_route(path or "/", upstreams, hints)
    if hints.paths:
        return assessed
    if route.kind is StreamKind.SSE:
        return Assessment(RouteOutcome.STREAMS, ("the media type is text/event-stream",))
    if route.kind is StreamKind.JSON_LINES:
        return Assessment(RouteOutcome.STREAMS, ("the media type is that of JSON lines",))
    if route.kind is StreamKind.FILE:
        return Assessment(RouteOutcome.UNKNOWN, ("the media type is that of a file",))
    if any(yields_events(program, one) for one in route.generators):
        return Assessment(RouteOutcome.STREAMS, ("the generator yields events",))
    if any(_calls_model(program, one) for one in route.functions):
        return Assessment(RouteOutcome.STREAMS, ("the program calls a model",))
    is_excluded = assessed.outcome is RouteOutcome.UNKNOWN and assessed.evidence
    if assessed.outcome is not RouteOutcome.UNKNOWN or is_excluded or not route.generators:
        return assessed
    return Assessment(RouteOutcome.MAYBE, ("a generator produces the response",))


def _calls_model(program: PythonProgram, scope: ast.AST) -> bool:
    return any(
        _MODEL_CALL.search(program.called(one))
        for one in program.own_nodes(scope)
        if isinstance(one, ast.Call)
    )


def yields_events(program: PythonProgram, generator: FunctionNode) -> bool:
    """Return whether a generator yields text that begins with an SSE field name."""
    return any(
        _EVENT_FIELD.match(literal_start(one.value))
        for one in program.own_nodes(generator)
        if isinstance(one, ast.Yield)
    )


def literal_start(expression: ast.AST | None) -> str:
    """Return the text at the start of a string expression; empty if it is not known."""
    for _ in range(_MAX_HELPERS):
        if isinstance(expression, ast.JoinedStr):
            expression = expression.values[0] if expression.values else None
        elif isinstance(expression, ast.BinOp):
            expression = expression.left
        elif isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
            expression = expression.func.value  # such as "…".encode()
        else:
            break
    return text_of(expression) or ""


def _content(call: ast.Call) -> ast.expr | None:
    return call.args[0] if call.args else keyword(call, *_CONTENT)


def _generators(
    program: PythonProgram, expression: ast.expr | None, near: ast.AST
) -> tuple[FunctionNode, ...]:
    """Return the generator functions in this file that an expression calls."""
    for _ in range(_MAX_HELPERS):
        if isinstance(expression, ast.Name):
            function = program.function_named(expression.id, near)
            if function is not None:
                return (function,) if program.is_generator(function) else ()
            expression = program.value_of(expression.id, near)
        elif isinstance(expression, ast.Await):
            expression = expression.value
        elif isinstance(expression, ast.Call):
            function = _called_function(program, expression)
            if function is not None and program.is_generator(function):
                return (function,)
            if not expression.args:
                return ()
            expression = expression.args[0]
        else:
            return ()
    return ()


def _called_function(program: PythonProgram, call: ast.Call) -> FunctionNode | None:
    if isinstance(call.func, ast.Name):
        return program.function_named(call.func.id, call)
    name = last_name(program.called(call))
    methods = [one for one in program.functions if one.name == name]
    return methods[0] if len(methods) == 1 else None


def _with_helpers(
    program: PythonProgram, generators: tuple[FunctionNode, ...]
) -> tuple[FunctionNode, ...]:
    """Return the generators and the generators that they iterate over."""
    found = dict.fromkeys(generators)
    pending = list(generators)
    while pending and len(found) <= _MAX_HELPERS:
        for node in program.own_nodes(pending.pop()):
            iterated = node.iter if isinstance(node, ast.For | ast.AsyncFor) else None
            if isinstance(node, ast.YieldFrom):
                iterated = node.value
            for one in _generators(program, iterated, node):
                if one not in found:
                    found[one] = None
                    pending.append(one)
    return tuple(found)


def _kind(program: PythonProgram, call: ast.Call) -> StreamKind:
    if last_name(program.called(call)) in {"EventSourceResponse", "EventStream"}:
        return StreamKind.SSE
    if keyword(call, "response_class") is not None:
        return StreamKind.SSE
    found = keyword(call, *_MEDIA)
    if found is None:
        found = header_of(program, call, "content-type")
    if found is None:
        return StreamKind.TEXT
    text = (text_of(found) or "").lower()
    if not text:
        return StreamKind.DYNAMIC
    if "event-stream" in text:
        return StreamKind.SSE
    if "ndjson" in text or "json-seq" in text or "jsonl" in text or "json-lines" in text:
        return StreamKind.JSON_LINES
    return StreamKind.TEXT if text.startswith(("text/plain", "text/html")) else StreamKind.FILE


def headers_of(program: PythonProgram, call: ast.Call) -> ast.expr | None:
    """Return the headers expression of a response, from its argument or from its variable."""
    around = next(program.parents(call), program.tree)
    found = keyword(call, "headers")
    if isinstance(around, ast.Tuple) and is_returned(program, call):
        found = around.elts[-1]
    if found is None and last_name(program.called(call)) == "make_response" and call.args[1:]:
        found = call.args[-1]
    if isinstance(found, ast.Name):
        return program.value_of(found.id, call) or found
    return found


def header_of(program: PythonProgram, call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a header that is set when the response is created or afterwards.

    ``response["Name"] = …`` and ``response.headers["Name"] = …`` count in the same function.
    """
    for key, value in dict_items(headers_of(program, call)):
        if key == name:
            return value
    for node in program.own_nodes(program.scope_of(call)):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        written = text_of(target.slice) if isinstance(target, ast.Subscript) else None
        if isinstance(node, ast.Assign) and (written or "").lower() == name:
            return node.value
    return None


def _path(program: PythonProgram, handler: FunctionNode | None) -> str:
    """Return the path of a registered handler; empty if the path is not in this file."""
    for one in handler.decorator_list if handler else ():
        function = one.func if isinstance(one, ast.Call) else None
        method = function.attr if isinstance(function, ast.Attribute) else ""
        if isinstance(one, ast.Call) and method in _METHODS:
            path = one.args[0] if one.args else keyword(one, "path", "rule")
            return text_of(path) or ""
    for call in program.calls if handler else ():
        is_registration = last_name(program.called(call)) in _REGISTRATIONS and len(call.args) > 1
        if is_registration and handler and program.dotted(call.args[1]) == handler.name:
            return "/" + (text_of(call.args[0]) or "").lstrip("/^")
    return ""


def _upstreams(program: PythonProgram, functions: tuple[FunctionNode, ...]) -> Iterator[str]:
    """Yield the URLs in a route's functions and at the top level of the module."""
    for scope in (*functions, program.tree):
        for text in program.strings(scope):
            found = _URL.search(text)
            if found:
                yield found[0]


def _with_hop(program: PythonProgram, route: StreamingRoute) -> StreamingRoute:
    """Return the route with a hop for the program, which is used to build request paths."""
    assessed = route.assessed
    hosts = {address_of(one).host: None for one in _upstreams(program, route.functions)}
    name = program.source.path.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
    hop = Hop(
        Tier.APP,
        f"{route.framework} application",
        assessed.path,
        assessed.line,
        names=(name.lower(),) if name not in {"", "."} else (),
        upstreams=tuple(hosts),
        heartbeat_s=_heartbeat(program, route),
    )
    return replace(route, assessed=replace(assessed, hop=hop))


def _heartbeat(program: PythonProgram, route: StreamingRoute) -> float | None:
    """Return the interval of the heartbeats that a response class or its generator sends."""
    last = last_name(program.called(route.call))
    value = keyword(route.call, "ping", "heartbeat")
    if value is not None or last in {"EventSourceResponse", "EventStream"}:
        return _DEFAULT_HEARTBEAT_S if value is None else number_of(value) or None
    for generator in route.generators:
        nodes = program.own_nodes(generator)
        sends = any(isinstance(one, ast.Yield) and _is_comment(one) for one in nodes)
        for call in nodes if sends else ():
            if isinstance(call, ast.Call) and last_name(program.called(call)) in _WAITS:
                limits = [*call.args[:2], *(one.value for one in call.keywords)]
                found = [number for one in limits if (number := number_of(one)) is not None]
                return found[0] if found else None
    return None


def _is_comment(node: ast.Yield) -> bool:
    return literal_start(node.value).startswith(":")
