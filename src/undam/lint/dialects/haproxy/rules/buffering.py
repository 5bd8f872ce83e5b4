"""HAP101 and HAP104: packets that the kernel delays, and responses that wait for their body."""

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
        Without `option http-no-delay`, haproxy announces more data with each write (MSG_MORE), so
        the kernel waits for a full segment or for about 200 ms. According to the release
        announcement, haproxy 3.4.7 and later send event streams without the delay of 200 ms (not
        measured; it is unknown whether the change was backported).
    """,
    why="""
        The response head, the first token and each heartbeat arrive up to 200 ms late. Readers
        receive nine tokens at a time, although the model generates tokens at an even pace.
    """,
    detection="""
        A section of mode http has a streaming route, and `option http-no-delay` is in effect
        neither in this section nor in its frontend. It is enough to set the option in the frontend
        or in the backend.
    """,
    measured="""
        With 120 events sent 25 ms apart, the first event arrived 202 ms late in haproxy 2.6.12 and
        204 ms late in 2.8.25; with the option, it was 0.1 ms late in both. The option worked in the
        frontend alone, in the backend alone and in defaults.
    """,
    fix="""
        Set `option http-no-delay`. The option changes only when data is sent, at the cost of more
        and smaller packets.

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
        "'wait-for-body' holds the response and returns 504 if the body takes longer than {time}"
    ),
    safety=Safety.SAFE,
    what="""
        `http-response wait-for-body` holds the response until its body is complete, until haproxy's
        buffer (16 KB) is full, or until `at-least` bytes have arrived.
    """,
    why="""
        The first token arrives together with the last one. A response that takes longer than the
        configured time is discarded, and the client receives 504 Gateway Timeout instead.
    """,
    detection="""
        `wait-for-body` applies to a streaming route, has no `at-least` of 256 bytes or less, and
        has no condition that excludes text/event-stream.
    """,
    measured="""
        haproxy 2.6.12 with 50 events sent 25 ms apart: all events arrived at the end; with `time
        500ms`, the client received 504. With `at-least 1`, or with a condition that excludes event
        streams, the stream was not held.
    """,
    fix="""
        Exclude event streams from `wait-for-body`. If the condition of the line has several parts
        joined by `or`, no edit is offered; write two lines instead.

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
# The first event of every known API is longer than this, so a wait for so few bytes is harmless.
_SMALL_BYTES = 256
_IS_EVENT_STREAM = f"{{ res.hdr(content-type) -m sub {EVENT_STREAM} }}"


def find(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    """Find the settings that buffer the responses of a route."""
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
    """Return whether the option is set by its last line in the nearest section that has one."""
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
    """Return the index of ``if`` or ``unless``, or the number of words if there is neither."""
    indexes = [index for index, text in enumerate(line.texts) if text in {"if", "unless"}]
    return indexes[0] if indexes else len(line.texts)


def _exclude_streams(line: HaproxyDirective, condition: tuple[str, ...]) -> list[Edit]:
    """Return the edit that excludes event streams from a line's condition, if there is one."""
    if not condition:
        return [Edit(line.end, line.end, f" unless {_IS_EVENT_STREAM}")]
    if condition[0] == "unless":
        return [Edit(line.end, line.end, f" or {_IS_EVENT_STREAM}")]
    if {"or", "||"} & set(condition):
        return []
    return [Edit(line.end, line.end, f" !{_IS_EVENT_STREAM}")]
