"""Rule HAP401: timeouts that cut off idle streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.haproxy.parser import HaproxyDirective, insert_line, seconds_in
from undam.lint.dialects.haproxy.routes import HaproxyRoute
from undam.lint.limits import ExpectedSilence
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

SERVER_TIMEOUT = ConfigRule(
    code="HAP401",
    slug="short-server-timeout",
    severity=Severity.WARNING,
    message="a stream is cut after {limit} of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        `timeout server`, like `http-request set-timeout server`, limits how long the origin may be
        silent, even in the middle of a response.
    """,
    why="""
        If the model sends nothing during queueing, reasoning or a tool call, the client receives a
        truncated stream.
    """,
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, an idle limit of at most one interval is an
        error. A limit between one and two intervals is a warning.
    """,
    measured="""
        haproxy 2.6.12 with a limit of 2 s closed a stream that was silent for 4.5 s; a comment
        every 0.5 s kept it open. `timeout client` did not cut the stream.
    """,
    fix="""
        Set `timeout server` to one hour, in the streaming section only. With a longer limit, a dead
        origin is detected later.

            timeout server 1h
    """,
    source="measured on loopback with haproxy 2.6.12; configuration manual, timeout server",
)

RULES = (SERVER_TIMEOUT,)

_LONG = "1h"


def find(route: HaproxyRoute, source: Source, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    """Find idle timeouts on a route that are shorter than the expected idle periods."""
    server = route.back.nearest("timeout", "server")
    if server is not None and server in route.back.lines:
        yield from _find_short(source, server, 2, silence)
    elif server is not None:
        text = f"timeout server {_LONG}"
        edit = insert_line(source, route.back, text, after=("timeout", "mode"))
        yield from _find_short(source, server, 2, silence, edit)
    for side in route.sides:
        for line in side.inherited("http-request", "set-timeout", "server"):
            yield from _find_short(source, line, 3, silence)


def _find_short(
    source: Source,
    line: HaproxyDirective,
    index: int,
    silence: ExpectedSilence,
    edit: Edit | None = None,
) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the timeout in a line is shorter than the expected idle periods.

    Args:
        index: index of the word that is the limit.
        edit: the fix; by default the word is replaced.
    """
    severity = silence.severity(seconds_in(line, index) or 0)
    if severity is None:
        return
    word = line.words[index]
    yield diagnostic_at(
        SERVER_TIMEOUT,
        source,
        (line.start, word.end),
        edit or Edit(*word.span, _LONG),
        severity=severity,
        limit=f"{word.text} ms" if word.text.isdecimal() else word.text,
        expected=silence.reason,
    )
