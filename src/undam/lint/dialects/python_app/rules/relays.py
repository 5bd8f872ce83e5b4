"""Rules PYA104 and PYA105: clients that read a stream as a whole or in fixed-size blocks."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.python_app.parser import (
    PythonProgram,
    has_unpacked,
    is_true,
    keyword,
    last_name,
    number_of,
)
from undam.rules import Severity
from undam.textfiles.edits import Edit

WHOLE = ConfigRule(
    code="PYA104",
    slug="client-reads-whole-response",
    severity=Severity.ERROR,
    message="{what}, so the program receives nothing before the response has ended",
    safety=Safety.SAFE,
    what="""
        A program iterates over a model response as a stream, but made the request without the
        client's streaming mode.
    """,
    why="""
        `requests` and `httpx` read the whole body before the call returns, and the OpenAI SDK
        returns one complete answer. The loop then runs over data that is already complete.
    """,
    detection="""
        A method such as `iter_lines`, `iter_content` or `iter_bytes` is called on the result of a
        request without `stream=True` (`requests`) or outside `stream()` (`httpx`). A loop over the
        result of `create()` without `stream=True` is reported as well.
    """,
    measured="""
        requests 2.34.2 and httpx 0.28.1: all 15 events of a stream arrived at its end. In streaming
        mode, each event arrived immediately.
    """,
    fix="""
        Make the request in the client's streaming mode.

            requests.post(url, json=body, stream=True)
            async with client.stream("POST", url, json=body) as response:
            client.chat.completions.create(model=model, messages=messages, stream=True)
    """,
    source="measured on loopback with requests 2.34.2 and httpx 0.28.1",
)

BLOCKS = ConfigRule(
    code="PYA105",
    slug="relay-reads-fixed-blocks",
    severity=Severity.WARNING,
    message="{call} waits until {size} bytes have arrived{condition}",
    safety=Safety.SAFE,
    what="A program reads a stream of events in blocks of a fixed size.",
    why="""
        An event shorter than the block is held until later events fill the block. The last events
        are held until the stream ends.
    """,
    detection="""
        `iter_content(n)`, `iter_lines()` with its default of 512 bytes, `iter_bytes(n)` or
        `iter_raw(n)` is called on a response that streams. The `requests` methods wait for a full
        block only if the body is not chunked. The `httpx` methods always wait for a full block, so
        their severity is error.
    """,
    measured="""
        requests 2.34.2: on a body delimited by connection close, `iter_lines()` returned events 603
        ms late, and without delay if `chunk_size=1` was set. httpx 0.28.1: `aiter_bytes(4096)` held
        a short stream until its end.
    """,
    fix="""
        Read the bytes as they arrive.

            response.iter_lines(chunk_size=1)       # requests
            response.iter_content(chunk_size=1)     # requests
            response.aiter_raw()                    # httpx
    """,
    source="measured on loopback with requests 2.34.2 and httpx 0.28.1",
)

RULES = (WHOLE, BLOCKS)

_ITERATIONS = frozenset({
    "iter_lines", "iter_content", "iter_bytes", "iter_raw", "iter_text",
    "aiter_lines", "aiter_bytes", "aiter_raw", "aiter_text",
})  # fmt: skip
_VERBS = frozenset({"get", "post", "put", "patch", "request"})
_HTTPX_BLOCKS = frozenset({
    "iter_bytes", "iter_raw", "iter_text", "aiter_bytes", "aiter_raw", "aiter_text",
})  # fmt: skip
_CREATES = ("chat.completions.create", "completions.create", "responses.create", "messages.create")


def find(program: PythonProgram, nodes: Iterable[ast.AST]) -> Iterator[Diagnostic]:
    """Find clients that delay the stream they read."""
    for node in nodes:
        if isinstance(node, ast.Call):
            if last_name(program.called(node)) in _ITERATIONS:
                yield from _iteration(program, node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            request = _origin(program, node.iter)
            if request is not None and program.called(request).endswith(_CREATES):
                yield from _without_stream(program, request, "`create` has no stream=True")


def _iteration(program: PythonProgram, call: ast.Call) -> Iterator[Diagnostic]:
    name = last_name(program.called(call))
    assert isinstance(call.func, ast.Attribute)
    request = _origin(program, call.func.value)
    target = "" if request is None else program.called(request)
    if request is not None and last_name(target) in _VERBS:
        is_httpx = (
            "httpx" in target or name.startswith("aiter_") or name in {"iter_raw", "iter_text"}
        )
        if _is_requests(program, target):
            found = list(
                _without_stream(program, request, "`requests` is called without stream=True")
            )
            yield from found
            if found:
                return
        elif is_httpx:
            message = f"`{last_name(target)}` of httpx reads the whole body"
            yield diagnostic_at(WHOLE, program.source, program.span(request.func), what=message)
            return
    yield from _blocks(program, call, name)


def _is_requests(program: PythonProgram, target: str) -> bool:
    """Return whether a call uses the `requests` library, directly or through a session."""
    if target.startswith("requests."):
        return True
    return program.imports_any("requests") and not program.imports_any("httpx", "aiohttp")


def _origin(program: PythonProgram, expression: ast.expr) -> ast.Call | None:
    """Return the call that produces the value of an expression."""
    if isinstance(expression, ast.Name):
        loop = program.loop_over(expression.id, expression)
        value = None if loop is not None else program.value_of(expression.id, expression)
        expression = value if value is not None else expression
    if isinstance(expression, ast.Await):
        expression = expression.value
    return expression if isinstance(expression, ast.Call) else None


def _without_stream(program: PythonProgram, request: ast.Call, what: str) -> Iterator[Diagnostic]:
    stream = keyword(request, "stream")
    if has_unpacked(request) or (stream is not None and _may_be_true(stream)):
        return
    edit = None
    if stream is not None:
        edit = Edit(program.start(stream), program.end(stream), "True")
    else:
        edit = add_argument(program, request, "stream=True")
    span = program.span(request.func)
    yield diagnostic_at(WHOLE, program.source, span, edit, what=what)


def _may_be_true(expression: ast.expr) -> bool:
    return is_true(expression) or not isinstance(expression, ast.Constant)


def add_argument(program: PythonProgram, call: ast.Call, text: str) -> Edit:
    """Return the edit that appends an argument to a call."""
    arguments = [*call.args, *(one.value for one in call.keywords)]
    if arguments:
        end = max(program.end(one) for one in arguments)
        return Edit(end, end, f", {text}")
    end = program.end(call) - 1
    return Edit(end, end, text)


def _blocks(program: PythonProgram, call: ast.Call, name: str) -> Iterator[Diagnostic]:
    size = call.args[0] if call.args else keyword(call, "chunk_size")
    number = number_of(size)
    if name in _HTTPX_BLOCKS:
        if size is not None and number is not None and number > 1:
            edit = Edit(program.start(size), program.end(size), "None")
            yield diagnostic_at(
                BLOCKS, program.source, _name_span(program, call), edit, severity=Severity.ERROR,
                call=name, size=f"{number:g}", condition="",
            )  # fmt: skip
    elif name in {"iter_lines", "iter_content"} and not _is_httpx_lines(program, call):
        edit = None
        if size is None and name == "iter_lines":
            number = 512
            edit = add_argument(program, call, "chunk_size=1")
        elif size is not None:
            edit = Edit(program.start(size), program.end(size), "1")
        if edit is not None and number is not None and number > 1:
            yield diagnostic_at(
                BLOCKS, program.source, _name_span(program, call), edit,
                call=name, size=f"{number:g}",
                condition=", unless the body is chunked",
            )  # fmt: skip


def _is_httpx_lines(program: PythonProgram, call: ast.Call) -> bool:
    """Return whether an `iter_lines` call is the httpx method, which does not delay lines."""
    if last_name(program.called(call)) != "iter_lines" or call.args or call.keywords:
        return False
    return not program.imports_any("requests")


def _name_span(program: PythonProgram, call: ast.Call) -> tuple[int, int]:
    """Return the span of the method name in a call."""
    end = program.end(call.func)
    return end - len(last_name(program.called(call))), end
