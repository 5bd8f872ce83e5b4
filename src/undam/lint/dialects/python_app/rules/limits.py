"""Rules PYA401 to PYA403: read timeouts, heartbeats that are never sent, and Quart's limit."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.python_app.parser import (
    FunctionNode,
    PythonProgram,
    is_none,
    is_true,
    keyword,
    last_name,
    number_of,
    text_of,
)
from undam.lint.dialects.python_app.routes import StreamingRoute
from undam.lint.dialects.python_app.rules.framing import pieces
from undam.lint.dialects.python_app.rules.relays import add_argument
from undam.lint.limits import total_limit_severity
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit

READ_TIMEOUT = ConfigRule(
    code="PYA401",
    slug="client-read-timeout",
    severity=Severity.WARNING,
    message="the client cuts a stream after {limit:g} s of silence{default}, {reason}",
    safety=Safety.UNSAFE,
    what="An HTTP client has a read timeout that is shorter than the upstream's silences.",
    why="""
        A model is silent until its first token and while it calls tools. When the limit expires,
        the client raises `ReadTimeout`, and the user's stream breaks off.
    """,
    detection="""
        A program calls `stream()` on an `httpx` client, whose default timeout is 5 s, or passes
        `timeout=` to a streaming `requests` call. The limit is compared with the heartbeat interval
        if it is known, and with the setting `silence` otherwise.
    """,
    measured="httpx 0.28.1: a stream with a silence of 6 s was cut after 5.0 s.",
    fix="""
        Set the read timeout above the longest expected silence. Keep the connect timeout short.

            httpx.AsyncClient(timeout=httpx.Timeout(5, read=300))
            requests.post(url, json=body, stream=True, timeout=(5, 300))
    """,
    source="measured on loopback with httpx 0.28.1; python-httpx.org, Timeouts",
)

HEARTBEAT = ConfigRule(
    code="PYA402",
    slug="heartbeat-needs-token",
    severity=Severity.WARNING,
    message="the heartbeat is sent only when the next item arrives, so never during a silence",
    safety=Safety.NONE,
    what="A loop over model output sends a comment if enough time has passed.",
    why="""
        The body of the loop runs only when an item arrives. During a silence nothing is sent, and
        proxies cut the connection. The loop sends the comment only when the next item ends the
        silence.
    """,
    detection="""
        A `for` or `async for` loop yields a comment under a condition that compares times.
    """,
    measured="""
        `undam check` reported UD401 for such a generator: no heartbeat arrived in 25 s.
    """,
    fix="""
        Wait for the next item with a timeout, or let the response class send heartbeats.

            from sse_starlette import EventSourceResponse

            return EventSourceResponse(events(), ping=15)
    """,
    source="measured on loopback with uvicorn 0.54.0",
)

QUART = ConfigRule(
    code="PYA403",
    slug="quart-response-timeout",
    severity=Severity.ERROR,
    message="Quart cuts each response after {limit:g} s{default}; heartbeats do not help",
    safety=Safety.NONE,
    what="""
        Quart limits the time in which a whole response is sent, streams included. The limit is the
        response's `timeout`, or else the setting `RESPONSE_TIMEOUT`, which is 60 s by default.
    """,
    why="A longer answer is cut off while tokens are still arriving; heartbeats do not help.",
    detection="""
        A streaming response of Quart does not set `timeout`, and the file does not set
        `RESPONSE_TIMEOUT`. If the file does not create the application, the severity is lower,
        because the setting may be in another file. A limit from one minute to one hour is a
        warning.
    """,
    measured="""
        Quart 0.22.0 with Hypercorn 0.18.0 and `RESPONSE_TIMEOUT` 2: a stream with an event every
        0.1 s was truncated after 2.0 s.
    """,
    fix="""
        Turn the limit off for the stream.

            response = await make_response(events(), headers)
            response.timeout = None
            return response
    """,
    source=(
        "measured on loopback with Quart 0.22.0; quart.palletsprojects.com, Streaming response and "
        "Server Sent Events"
    ),
)

RULES = (READ_TIMEOUT, HEARTBEAT, QUART)

_HTTPX_DEFAULT_S = 5.0
_QUART_DEFAULT_S = 60.0
_CLIENTS = frozenset({"httpx.AsyncClient()", "httpx.Client()"})
_MAX_NAMES = 4
_ENDS = (ast.While, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class ReadLimit:
    """The read timeout of one streaming request.

    Args:
        call: the call that sets the limit, or whose default it is.
        timeout: the expression that sets it; ``None`` for a default.
        limit_s: the limit in seconds, infinite without one.
    """

    call: ast.Call
    timeout: ast.expr | None
    limit_s: float


def read_limits(program: PythonProgram, nodes: Iterable[ast.AST]) -> Iterator[ReadLimit]:
    """Yield the known read timeouts of the streaming requests in a scope."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = program.called(node)
        call, default = node, math.inf
        timeout = keyword(node, "timeout")
        if not (name.startswith("requests.") and is_true(keyword(node, "stream"))):
            is_stream = last_name(name) == "stream" or is_true(keyword(node, "stream"))
            client = _client(program, node) if is_stream else None
            if client is None:
                continue
            default = _HTTPX_DEFAULT_S
            if timeout is None:
                call, timeout = client, keyword(client, "timeout")
        limit = default if timeout is None else _read_limit(program, timeout)
        if limit is not None:
            yield ReadLimit(call, timeout, limit)


def find(
    program: PythonProgram, nodes: Iterable[ast.AST], settings: Settings
) -> Iterator[Diagnostic]:
    """Find read timeouts that are shorter than the expected idle periods of a stream."""
    for one in read_limits(program, nodes):
        severity = None if math.isinf(one.limit_s) else settings.silence.severity(one.limit_s)
        if severity is not None:
            yield _too_short(program, one, severity, settings)


def _client(program: PythonProgram, call: ast.Call) -> ast.Call | None:
    """Return the call that creates the httpx client for a request."""
    if program.called(call) == "httpx.stream":
        return call
    value: ast.AST | None = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(value, ast.Name):
        value = program.value_of(value.id, call)
    elif isinstance(value, ast.Attribute):
        value = _attribute(program, value.attr)
    is_client = isinstance(value, ast.Call) and program.dotted(value) in _CLIENTS
    return value if is_client and isinstance(value, ast.Call) else None


def _attribute(program: PythonProgram, name: str) -> ast.expr | None:
    """Return the value assigned to an attribute, if the file contains exactly one assignment."""
    found = [
        node.value
        for node in program.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and node.targets[0].attr == name
    ]
    return found[0] if len(found) == 1 else None


def _too_short(
    program: PythonProgram, one: ReadLimit, severity: Severity, settings: Settings
) -> Diagnostic:
    new = f"{settings.silence_s:g}"
    module, _, _ = ast.unparse(one.call.func).rpartition(".")
    edits: tuple[Edit, ...] = ()
    if one.timeout is None and module == "httpx":
        edits = (add_argument(program, one.call, f"timeout=httpx.Timeout(5, read={new})"),)
    elif isinstance(one.timeout, ast.Constant) and module == "httpx":
        text = f"httpx.Timeout({ast.unparse(one.timeout)}, read={new})"
        edits = (Edit(program.start(one.timeout), program.end(one.timeout), text),)
    return diagnostic_at(
        READ_TIMEOUT, program.source, program.span(one.timeout or one.call.func), *edits,
        severity=severity, limit=one.limit_s, reason=settings.silence.reason,
        default=" (its default)" if one.timeout is None else "",
    )  # fmt: skip


def _read_limit(program: PythonProgram, value: ast.expr) -> float | None:
    """Return a read timeout in seconds: infinity if there is none, ``None`` if it is not known."""
    for _ in range(_MAX_NAMES):
        if isinstance(value, ast.Name):
            found = program.value_of(value.id, value)
        elif isinstance(value, ast.Tuple) and len(value.elts) > 1:
            found = value.elts[1]
        elif isinstance(value, ast.Call) and last_name(program.called(value)) == "Timeout":
            found = keyword(value, "read", "timeout") or (value.args[0] if value.args else None)
        else:
            return math.inf if is_none(value) else number_of(value)
        if found is None:
            return None
        value = found
    return None


def find_heartbeats(program: PythonProgram, generator: FunctionNode) -> Iterator[Diagnostic]:
    """Find heartbeats that are never sent in idle periods, because their loop waits for items."""
    for node in program.own_nodes(generator):
        if isinstance(node, ast.Yield) and _is_comment(node) and _waits_for_item(program, node):
            yield diagnostic_at(HEARTBEAT, program.source, program.span(node))


def _is_comment(node: ast.Yield) -> bool:
    first = next(iter(pieces(node.value)), "")
    return isinstance(first, str) and first.startswith(":")


def _waits_for_item(program: PythonProgram, node: ast.AST) -> bool:
    compares = False
    for one in takewhile(lambda one: not isinstance(one, _ENDS), program.parents(node)):
        if isinstance(one, ast.If):
            compares = compares or any(
                isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)
                for inner in ast.walk(one.test)
            )
        elif isinstance(one, ast.For | ast.AsyncFor):
            return compares
    return False


def find_response_timeout(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    """Find streaming responses that Quart cuts after a certain time."""
    values = _response_timeouts(program, route)
    limit = number_of(values[-1]) if values else _QUART_DEFAULT_S
    severity = None if limit is None else total_limit_severity(limit)
    if severity is None:
        return
    creates_app = any(program.called(one) == "quart.Quart" for one in program.calls)
    if not values and not creates_app:
        severity = Severity.WARNING
    span = program.span(values[-1] if values else route.call.func)
    default = "" if values else " (the default)"
    yield diagnostic_at(
        QUART, program.source, span, severity=severity, limit=limit, default=default
    )


def _response_timeouts(program: PythonProgram, route: StreamingRoute) -> list[ast.expr]:
    """Return the values of `RESPONSE_TIMEOUT` in a program, then those of a response's timeout."""
    handler = route.handler or program.tree
    configured, own = [], []
    for node in program.nodes:
        if isinstance(node, ast.Call):
            found = keyword(node, "RESPONSE_TIMEOUT")
            configured += [] if found is None else [found]
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            key = target.slice if isinstance(target, ast.Subscript) else None
            if text_of(key) == "RESPONSE_TIMEOUT":
                configured.append(node.value)
            is_own = isinstance(target, ast.Attribute) and target.attr == "timeout"
            if is_own and program.scope_of(node) is handler:
                own.append(node.value)
    return [*configured, *own]
