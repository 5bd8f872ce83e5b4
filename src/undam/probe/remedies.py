"""Fixes for findings, from recognised intermediaries or else from suspected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from undam.diagnosis.findings.buffering import coding_of
from undam.diagnosis.hop import Hop
from undam.diagnosis.shape import Release
from undam.intermediaries import (
    Trouble,
    fix_for,
    intermediary,
    suspects_of_cut,
    suspects_of_hold,
    versions_of,
)
from undam.intermediaries.habits import NEVER_BY_TIMER, TimerEvidence, writers_of_text
from undam.record import Head
from undam.rules import Finding, Fix

_TROUBLES = {
    "UD101": Trouble.HOLD,
    "UD102": Trouble.HOLD,
    "UD103": Trouble.HOLD,
    "UD104": Trouble.ONE_LATE,
    "UD105": Trouble.HEADERS_HELD,
    "UD106": Trouble.COMPRESSION,
    "UD108": Trouble.CLOSE_DELIMITED,
    "UD109": Trouble.EATS_X_ACCEL,
    "UD110": Trouble.CANCEL,
    "UD111": Trouble.HOLD,
    "UD403": Trouble.IDLE_LIMIT,
    "UD404": Trouble.TOTAL_LIMIT,
    "UD405": Trouble.IDLE_LIMIT,
}


_BROKEN_OFF = {"UD601", "UD602", "UD603", "UD605"}
# An error text that replaces the rest of a stream is short.
_TAIL_BYTES = 4096

_FLUSH_EACH_EVENT = "Write and flush each event at once: no TCP_CORK, no flush by a timer."


def with_fixes(findings: Sequence[Finding], hops: Sequence[Hop]) -> list[Finding]:
    """Return the findings, each with its fix if one is known.

    If an intermediary was recognised at the hop, the fix is for it, and for its version if the head
    contains one. Otherwise the fix is for a suspect, with the note "if that is in the path". The
    server itself is a suspect if no hop further in was measured.
    """
    by_name = {hop.name: hop for hop in hops}
    return [
        one if one.fix is not None else replace(one, fix=_fix(one, by_name)) for one in findings
    ]


def _fix(found: Finding, hops: Mapping[str, Hop]) -> Fix | None:
    trouble, hop = _TROUBLES.get(found.code), hops.get(found.hop)
    if hop is not None and found.code in _BROKEN_OFF:
        return _fix_of_writer(hop)
    if trouble is None or hop is None:
        return None
    by_timer = trouble is Trouble.HOLD and hop.shape.release is Release.TIMER
    recognised = _recognised(hop, hops)
    if by_timer:
        recognised = tuple(name for name in recognised if name not in NEVER_BY_TIMER)
    head = hop.exchange.head
    if fix := fix_for(recognised, trouble, versions_of(head) if head else None):
        return fix
    # With a beacon, the server is undam's own, which flushes each event.
    innermost = hop.name == list(hops)[-1] and not hop.exact
    suspects = _suspects(found, hop, trouble, innermost=innermost)
    if by_timer and innermost and (not suspects or intermediary(suspects[0]).kind == "server"):
        return _fix_of_server(hop, suspects)
    server = f"\n# or, without a proxy, the server itself: {_FLUSH_EACH_EVENT}"
    for name in suspects:
        if guess := intermediary(name).fixes.get(trouble):
            text = guess.text + server if by_timer and innermost else guess.text
            return Fix(f"{name}, if that is in the path", text)
    return None


def _fix_of_server(hop: Hop, suspects: Sequence[str]) -> Fix:
    """Return the fix for a server that holds its own events by a timer."""
    head = hop.exchange.head
    signed = (head.get("server") if head else None) or ""
    where = f"the server itself (Server: {signed[:60]})" if signed else "the server itself"
    lines = [_FLUSH_EACH_EVENT]
    for name in suspects:
        known = intermediary(name)
        if known.kind == "server" and (fix := known.fixes.get(Trouble.HOLD)):
            where = f"{where}, for instance {name}"
            lines.append(f"{name}: {fix.text}")
    return Fix(where, "\n".join(lines))


def _fix_of_writer(hop: Hop) -> Fix | None:
    """Return the fix for an intermediary that ended a broken stream with its own error text."""
    tail = b""
    for arrival in reversed(hop.exchange.arrivals):
        tail = arrival.data + tail
        if len(tail) >= _TAIL_BYTES:
            break
    return fix_for(writers_of_text(tail[-_TAIL_BYTES:]), Trouble.HIDES_CUT)


def _recognised(hop: Hop, hops: Mapping[str, Hop]) -> tuple[str, ...]:
    """Return the intermediaries recognised only here, or else all those recognised here."""
    names = list(hops)
    inner = names.index(hop.name) + 1
    if inner < len(names):
        further_in = hops[names[inner]].intermediaries
        own = tuple(name for name in hop.intermediaries if name not in further_in)
        return own or hop.intermediaries
    return hop.intermediaries


def _suspects(found: Finding, hop: Hop, trouble: Trouble, *, innermost: bool) -> tuple[str, ...]:
    """Return suspects: intermediaries that usually behave like this, recognised or not."""
    if trouble is Trouble.HOLD:
        head = hop.exchange.head
        return suspects_of_hold(
            block_bytes=hop.shape.release_bytes,
            timer_ms=hop.shape.period_ms,
            to_end=hop.shape.release is Release.END,
            gained_length=head is not None and head.get("content-length") is not None,
            compressed=coding_of(hop) is not None,
            place=TimerEvidence(
                mixed_case=head is not None and not hop.intermediaries and _mixed_case(head),
                flushed_at_once=head is not None and _flushed_at_once(head),
                innermost=innermost,
                origin_headers=head is not None
                and (head.get("server") is not None or head.get("date") is not None),
            ),
        )
    limit_s = found.evidence.get("limit_s")
    if trouble in {Trouble.IDLE_LIMIT, Trouble.TOTAL_LIMIT} and isinstance(limit_s, int | float):
        return suspects_of_cut(float(limit_s), total=trouble is Trouble.TOTAL_LIMIT)
    return ()


def _mixed_case(head: Head) -> bool:
    """Return whether header names have capital letters, which only HTTP/1 preserves."""
    return any(name != name.lower() for name, _ in head.headers)


def _flushed_at_once(head: Head) -> bool:
    """Return whether Go's reverse proxy flushes such a response after each write."""
    kind = (head.get("content-type") or "").partition(";")[0].strip().lower()
    return kind == "text/event-stream" or head.get("content-length") is None
