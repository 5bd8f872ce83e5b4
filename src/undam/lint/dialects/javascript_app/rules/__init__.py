"""Rules for JavaScript programs and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.javascript_app.parser import JavaScriptProgram
from undam.lint.dialects.javascript_app.routes import ScriptRoute
from undam.lint.dialects.javascript_app.rules import (
    compression,
    framing,
    limits,
    protocol,
    relays,
)
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = tuple(
    sorted(
        (
            *compression.RULES, *framing.RULES, *limits.RULES, *protocol.RULES, *relays.RULES,
        ),
        key=lambda rule: rule.code,
    )
)  # fmt: skip


def find(
    script: JavaScriptProgram, routes: list[ScriptRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems in a JavaScript program.

    Args:
        routes: the routes that may stream.
    """
    yield from compression.find(script, routes)
    yield from relays.find(script, routes)
    yield from protocol.find(script, routes)
    yield from protocol.find_connections(script)
    yield from limits.find(script, routes, settings)
    yield from limits.find_durations(script, routes)
    yield from framing.find(script)
