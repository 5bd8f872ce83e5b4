"""Rules HAP101 and HAP104: delayed packets, and responses that wait for their complete body."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.haproxy.parser import HaproxyDirective, HaproxySection, insert_line
from undam.lint.dialects.haproxy.routes import (
    EVENT_STREAM,
    HaproxyRoute,
    acls_of,
    read_condition,
)
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.versions import HAPROXY_SSE_UNDELAYED

NO_DELAY = ConfigRule(
    code="HAP101",
    slug="packets-held",
    severity=Severity.ERROR,
    message="{kind} {name} holds each event for about 200 ms: 'option http-no-delay' is missing",
    safety=Safety.SAFE,
    what="""
        Without `option http-no-delay`, haproxy marks each write as incomplete (`MSG_MORE`). The
        kernel then delays the data until a segment is full, or for about 200 ms. According to the
        release announcement, haproxy 3.4.7 and later send event streams without this delay. The
        claim was not measured, and it is unknown whether the change was backported.
    """,
    why="""
        The response head, the first token and each heartbeat arrive up to 200 ms late. The client
        receives nine tokens at a time, although the model generates tokens at a steady pace.
    """,
    detection="""
        A section in `mode http` has a streaming route, and `option http-no-delay` is in effect
        neither in this section nor in its frontend. Setting the option in either the frontend or
        the backend is enough.
    """,
    measured="""
        With 120 events sent 25 ms apart, the first event arrived 202 ms late in haproxy 2.6.12 and
        204 ms late in 2.8.25. With the option, the first event was 0.1 ms late in both versions.
        The option was effective in the frontend alone, in the backend alone, and in the `defaults`
        section.
    """,
    fix="""
        Set `option http-no-delay`. The option affects only the timing of writes, at the cost of
        more and smaller packets.

            backend llm
                option http-no-delay
    """,
    source="measured on loopback with haproxy 2.6.12; configuration manual, option http-no-delay",
    affected=HAPROXY_SSE_UNDELAYED.before,
)

WAITS_FOR_BODY = ConfigRule(
    code="HAP104",
    slug="response-body-awaited",
    severity=Severity.ERROR,
    message=(
        "'wait-for-body' holds the response and returns a 504 if the body takes longer than {time}"
    ),
    safety=Safety.SAFE,
    what="""
        `http-response wait-for-body` holds the response until one of three conditions is met: the
        body is complete, haproxy's buffer (16 KB) is full, or `at-least` bytes have arrived.
    """,
    why="""
        The first token arrives together with the last one. A response that takes longer than the
        configured time is discarded, and the client receives a 504 (Gateway Timeout) instead.
    """,
    detection="""
        A streaming route has a `wait-for-body` line without an `at-least` of 256 bytes or less. No
        condition on that line excludes `text/event-stream`.
    """,
    measured="""
        haproxy 2.6.12 with 50 events sent 25 ms apart: all events arrived at the end. With `time
        500ms`, the client received a 504. With `at-least 1`, or with a condition that excludes
        event streams, the stream was not held.
    """,
    fix="""
        Exclude event streams from `wait-for-body`. If the line has an `if` condition that contains
        `or`, no automatic fix is offered; write two lines instead.

            acl streams res.hdr(content-type) -m sub text/event-stream
            http-response wait-for-body time 10s unless streams
    """,
    source=(
        "measured on loopback with haproxy 2.6.12; configuration manual, "
        "http-response wait-for-body"
    ),
)

RULES = (NO_DELAY, WAITS_FOR_BODY)

_OPTION = "http-no-delay"
# In every known API, the first event is larger than this, so waiting for this many bytes is
# harmless.
_SMALL_BYTES = 256
_IS_EVENT_STREAM = f"{{ res.hdr(content-type) -m sub {EVENT_STREAM} }}"


def find(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    """Find settings that buffer the responses on a route."""
    yield from _find_delayed_packets(route, source)
    yield from _find_awaited_bodies(route, source)


def _find_delayed_packets(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    if any(_has_option(side) for side in route.sides):
        return
    back = route.back
    off = [line for line in back.lines if line.begins("no", "option", _OPTION)]
    edits = [Edit(line.start, line.words[1].start, "") for line in off]
    if not edits:
        edits = [insert_line(source, back, f"option {_OPTION}", after=("option", "mode"))]
    span = off[-1].span if off else back.head.span
    yield diagnostic_at(NO_DELAY, source, span, *edits, kind=back.kind, name=back.name)


def _has_option(section: HaproxySection) -> bool:
    """Return whether the option is on, according to the nearest section that mentions it."""
    for one in section.chain():
        lines = [
            *((line.start, True) for line in one.own("option", _OPTION)),
            *((line.start, False) for line in one.own("no", "option", _OPTION)),
            *((line.start, False) for line in one.own("default", "option", _OPTION)),
        ]
        if lines:
            return max(lines)[1]
    return False


def _find_awaited_bodies(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    for side in route.sides:
        acls = acls_of(side)
        for line in side.inherited("http-response", "wait-for-body"):
            condition = line.texts[_condition_index(line) :]
            if _has_small_at_least(line) or read_condition(condition, acls).no_events:
                continue
            edits = _exclude_streams(line, condition)
            yield diagnostic_at(
                WAITS_FOR_BODY, source, line.words[1].span, *edits, time=_time(line)
            )


def _has_small_at_least(line: HaproxyDirective) -> bool:
    if "at-least" not in line.texts:
        return False
    value = line.texts[line.texts.index("at-least") + 1 :][:1]
    return bool(value) and value[0].isdecimal() and int(value[0][:9]) <= _SMALL_BYTES


def _time(line: HaproxyDirective) -> str:
    value = line.texts[3:4] if line.texts[2:3] == ("time",) else ()
    return value[0] if value else "its time"


def _condition_index(line: HaproxyDirective) -> int:
    """Return the index of ``if`` or ``unless``; the number of words if there is no condition."""
    indexes = [index for index, text in enumerate(line.texts) if text in {"if", "unless"}]
    return indexes[0] if indexes else len(line.texts)


def _exclude_streams(line: HaproxyDirective, condition: tuple[str, ...]) -> list[Edit]:
    """Return the edits that exclude event streams from the condition of a line, if it has one."""
    if not condition:
        return [Edit(line.end, line.end, f" unless {_IS_EVENT_STREAM}")]
    if condition[0] == "unless":
        return [Edit(line.end, line.end, f" or {_IS_EVENT_STREAM}")]
    if {"or", "||"} & set(condition):
        return []
    return [Edit(line.end, line.end, f" !{_IS_EVENT_STREAM}")]
