"""Rules JSA601 and JSA602: readers that lose characters or lines at chunk boundaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.javascript_app.parser import (
    JavaScriptProgram,
    arguments,
    function_of,
    loops_of,
    option,
    parents,
    walk,
)
from undam.rules import Severity
from undam.textfiles.edits import Edit

if TYPE_CHECKING:
    from tree_sitter import Node

DECODER = ConfigRule(
    code="JSA601",
    slug="decoder-without-stream",
    severity=Severity.WARNING,
    message="decode() without `stream: true` breaks characters that are split between chunks",
    safety=Safety.SAFE,
    what="A reader decodes each chunk of a stream as if it were a complete text.",
    why="""
        A chunk can end inside a multi-byte character. Without `stream: true`, the decoder replaces
        both halves with U+FFFD, so users occasionally see broken letters and emoji.
    """,
    detection="""
        `TextDecoder.decode` is called with one argument, either in a loop that reads a stream or in
        a `data` event handler. A call without arguments flushes the decoder at the end of a stream
        and is not reported.
    """,
    measured="""
        Node.js 20: the bytes of "é", split between two chunks, were decoded to "\\ufffd\\ufffd".
        With `stream: true`, they were decoded to "é".
    """,
    fix="""
        Use one decoder for the whole stream, and pass `stream: true`.

            text += decoder.decode(value, { stream: true });
    """,
    source="measured with Node.js 20; encoding.spec.whatwg.org, TextDecoder",
)

LINES = ConfigRule(
    code="JSA602",
    slug="lines-split-per-chunk",
    severity=Severity.WARNING,
    message="each chunk is split into lines separately, so a line that spans two chunks is broken",
    safety=Safety.NONE,
    what="A reader splits each chunk of a stream into lines or events without a buffer.",
    why="""
        A chunk can end inside a line. `JSON.parse` fails on the first half, and the second half
        does not begin with a field name. As a result, a token is lost or the reader stops. Chunks
        often end inside a line under load, but rarely in tests.
    """,
    detection="""
        A loop that reads a stream splits each decoded chunk at line breaks by itself. A
        call that splits a buffer to which the chunk was appended is correct and is not reported.
    """,
    measured="""
        Node.js 20: when an event was split between two chunks, such a reader failed with
        `SyntaxError`.
    """,
    fix="""
        Append each chunk to a buffer, and keep the incomplete last line for the next chunk.

            buffer += decoder.decode(value, { stream: true });
            const lines = buffer.split("\\n");
            buffer = lines.pop() ?? "";
    """,
    source="measured with Node.js 20; html.spec.whatwg.org, 9.2.6 Interpreting an event stream",
)

RULES = (DECODER, LINES)


def find(script: JavaScriptProgram) -> Iterator[Diagnostic]:
    """Find readers that lose text at chunk boundaries."""
    by_function: dict[int, bool] = {}
    for call in script.calls:
        method = script.method(call)
        if method not in {"decode", "split"}:
            continue
        function = function_of(call)
        if function.id not in by_function:  # a function may contain thousands of such calls
            by_function[function.id] = _handles_chunks(script, function)
        if not by_function[function.id] and not _is_in_reading_loop(script, call):
            continue
        if method == "split":
            yield from _split(script, call)
        elif _is_decode(script, call):
            yield from _decoded(script, call)


def _is_in_reading_loop(script: JavaScriptProgram, call: Node) -> bool:
    for loop in loops_of(call):
        text = script.text(loop)
        if ".read()" in text or text.startswith("for await"):
            return True
    return False


def _handles_chunks(script: JavaScriptProgram, function: Node) -> bool:
    """Return whether a function reads a stream, or is called for each chunk of a stream."""
    for one in walk(function):
        if one.type == "call_expression" and script.method(one) == "read":
            # A function that calls itself for each chunk: reader.read().then(process)
            return "then" in script.text(function) or script.callee(one).endswith("reader.read")
    return any(_gives_chunks(script, one) for one in list(parents(function))[:3])


def _gives_chunks(script: JavaScriptProgram, node: Node) -> bool:
    """Return whether a call passes each chunk of a stream to a callback."""
    if node.type not in {"call_expression", "new_expression"}:
        return False
    callee = script.callee(node)
    values = arguments(node)
    if callee.endswith(".on"):
        return bool(values) and script.string(values[0]) == "data"
    return callee.endswith("TransformStream") or ".read().then" in callee


def _is_decode(script: JavaScriptProgram, call: Node) -> bool:
    if script.method(call) != "decode":
        return False
    callee = script.callee(call)
    if "TextDecoder(" in callee:
        return True
    receiver = callee.rpartition(".")[0].rpartition(".")[2]
    declared = script.value_of(receiver, call)
    if declared is not None:
        return "TextDecoder(" in script.text(declared)
    return "decoder" in receiver.lower() and "TextDecoder" in script.source.text


def _decoded(script: JavaScriptProgram, call: Node) -> Iterator[Diagnostic]:
    values = arguments(call)
    if not values:
        return
    config = values[1] if len(values) > 1 else None
    if config is not None:
        value = option(script, config, "stream")
        if config.type != "object" or (value is not None and script.text(value) != "false"):
            return
    is_new = "TextDecoder(" in script.callee(call)
    edits: list[Edit] = []
    if config is None and not is_new:
        end = script.end(values[0])
        edits.append(Edit(end, end, ", { stream: true }"))
    yield diagnostic_at(DECODER, script.source, script.span(call), *edits)


def _split(script: JavaScriptProgram, call: Node) -> Iterator[Diagnostic]:
    values = arguments(call)
    text = script.string(values[0]) if values else None
    if text not in {"\\n", "\\n\\n", "\\r\\n", "\\r\\n\\r\\n"}:
        return
    function = call.child_by_field_name("function")
    value = None if function is None else function.child_by_field_name("object")
    if value is None or not _is_chunk(script, value, call):
        return
    yield diagnostic_at(LINES, script.source, script.span(call))


def _is_chunk(script: JavaScriptProgram, value: Node, near: Node) -> bool:
    """Return whether an expression is exactly the decoded chunk."""
    if value.type == "call_expression":
        return _is_decode(script, value) or script.method(value) == "toString"
    if value.type != "identifier":
        return False
    name = script.text(value)
    declared = script.value_of(name, near)
    if declared is None or function_of(declared).id != function_of(near).id:
        return False
    if declared.type != "call_expression" or not _is_chunk(script, declared, near):
        return False
    return not _is_appended(script, name, near)


def _is_appended(script: JavaScriptProgram, name: str, near: Node) -> bool:
    """Return whether a variable is a buffer to which text is appended."""
    return any(
        script.text(left) == name
        for one in script.of_type("augmented_assignment_expression")
        if function_of(one).id == function_of(near).id
        and (left := one.child_by_field_name("left")) is not None
    )
