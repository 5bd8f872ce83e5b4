"""Fixes for findings, chosen by the intermediaries in the path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from undam.diagnosis.findings.buffering import coding_of
from undam.diagnosis.hop import Hop
from undam.diagnosis.shape import Release
from undam.intermediaries import Trouble, fix_for, intermediary, suspects_of_cut, suspects_of_hold
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


def with_fixes(findings: Sequence[Finding], hops: Sequence[Hop]) -> list[Finding]:
    """Return the findings, each with its fix where one is known.

    An intermediary that signed the response gets its own fix. Otherwise it is guessed from its
    behaviour, and the fix says so: "if this is haproxy".
    """
    by_name = {hop.name: hop for hop in hops}
    return [
        one if one.fix is not None else replace(one, fix=_fix(one, by_name)) for one in findings
    ]


def _fix(found: Finding, hops: Mapping[str, Hop]) -> Fix | None:
    trouble, hop = _TROUBLES.get(found.code), hops.get(found.hop)
    if trouble is None or hop is None:
        return None
    if fix := fix_for(_suspected(hop, hops), trouble):
        return fix
    for name in _habits(found, hop, trouble):
        if guess := intermediary(name).fixes.get(trouble):
            return Fix(f"{name}, if that is in the path", guess.text)
    return None


def _suspected(hop: Hop, hops: Mapping[str, Hop]) -> tuple[str, ...]:
    """Return the intermediaries that signed here but not further in, or all if there are none."""
    names = list(hops)
    inner = names.index(hop.name) + 1
    if inner < len(names):
        further_in = hops[names[inner]].intermediaries
        own = tuple(name for name in hop.intermediaries if name not in further_in)
        return own or hop.intermediaries
    return hop.intermediaries


def _habits(found: Finding, hop: Hop, trouble: Trouble) -> tuple[str, ...]:
    """Return the names of intermediaries known to behave like this."""
    if trouble is Trouble.HOLD:
        head = hop.exchange.head
        return suspects_of_hold(
            block_bytes=hop.shape.release_bytes,
            timer_ms=hop.shape.period_ms,
            to_end=hop.shape.release is Release.END,
            gained_length=head is not None and head.get("content-length") is not None,
            compressed=coding_of(hop) is not None,
        )
    limit_s = found.evidence.get("limit_s")
    if trouble in {Trouble.IDLE_LIMIT, Trouble.TOTAL_LIMIT} and isinstance(limit_s, int | float):
        return suspects_of_cut(float(limit_s), total=trouble is Trouble.TOTAL_LIMIT)
    return ()
