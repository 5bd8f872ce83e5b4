"""Rules for Python programs and their checks, one module per topic."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.python_app.parser import PythonProgram, is_true, text_of
from undam.lint.dialects.python_app.routes import StreamingRoute
from undam.lint.dialects.python_app.rules import (
    compression,
    framing,
    generators,
    limits,
    middleware,
    protocol,
    relays,
)
from undam.lint.evidence.paths import DECISIVE, path_evidence
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = tuple(
    sorted(
        (
            *compression.RULES, *framing.RULES, *generators.RULES, *limits.RULES,
            *middleware.RULES, *protocol.RULES, *relays.RULES,
        ),
        key=lambda rule: rule.code,
    )
)  # fmt: skip

_STREAM_WORDS = re.compile(r"text/event-stream|^data:|^\[DONE\]$")


def find(program: PythonProgram, route: StreamingRoute, settings: Settings) -> Iterator[Diagnostic]:
    """Find problems with a streaming response, except problems that are caused by middleware."""
    yield from generators.find(program, route)
    yield from framing.find(program, route)
    yield from protocol.find(program, route)
    for function in route.functions:
        nodes = program.own_nodes(function)
        yield from relays.find(program, nodes)
        yield from limits.find(program, nodes, settings)
    for generator in route.generators:
        yield from limits.find_heartbeats(program, generator)
    if route.framework == "Quart":
        yield from limits.find_response_timeout(program, route)


def find_in_readers(
    program: PythonProgram, routes: list[StreamingRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find problems in functions that read a stream but do not produce a response."""
    used = {function for route in routes for function in route.functions}
    for scope in (*program.functions, program.tree):
        if scope not in used and _reads_stream(program, scope):
            nodes = program.own_nodes(scope)
            yield from relays.find(program, nodes)
            yield from limits.find(program, nodes, settings)


def _reads_stream(program: PythonProgram, scope: ast.AST) -> bool:
    """Return whether a function requests or reads a stream, based on its string constants."""
    for node in program.own_nodes(scope):
        text = text_of(node)
        if text is not None and _STREAM_WORDS.search(text):
            return True
        if text is not None and "/" in text and path_evidence(text[:200]).score >= DECISIVE:
            return True
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if text_of(key) == "stream" and is_true(value):
                    return True
    return False
