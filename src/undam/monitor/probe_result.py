"""Result of one probe: what a check found, reduced to what is compared over time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A block or a period counts as the same if it differs by less than this factor.
_SAME = 1.25
_STATUS = re.compile(r"answered (\d{3})\b")


@dataclass(frozen=True, slots=True)
class HopState:
    """Behaviour of one hop in a probe.

    Args:
        release: what releases held events (size, timer, next, end), if it holds.
        server: value of the Server header.
    """

    name: str
    verdict: str
    release: str | None = None
    release_bytes: int | None = None
    period_ms: float | None = None
    hold_ms: float | None = None
    ttft_ms: float | None = None
    server: str | None = None
    http_version: str | None = None
    intermediaries: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe of a target.

    Args:
        at_s: Unix time of the probe.
        verdict: verdict of the outermost hop; ``unknown`` after a failure.
        error: why no stream was received; ``None`` if one was.
        status: HTTP status of a refusal.
        codes: codes of errors and warnings.
        events: content events of all hops, which are counted as tokens.
    """

    target: str
    at_s: float
    verdict: str
    hops: tuple[HopState, ...] = ()
    is_complete: bool = False
    ttft_ms: float | None = None
    hold_ms: float | None = None
    error: str | None = None
    status: int | None = None
    codes: tuple[str, ...] = ()
    events: int = 0

    @property
    def is_refused(self) -> bool:
        """Return whether the server refused the probe: no key, or too many requests."""
        return self.status in {401, 403, 429}

    def is_conclusive(self) -> bool:
        """Return whether the probe can prove a change: it failed, or it has a verdict."""
        return (self.error is not None and not self.is_refused) or self.verdict != "unknown"


def result_of(target: str, at_s: float, report: Mapping[str, Any]) -> ProbeResult:
    """Return the result of a check.

    Args:
        report: the result of `undam check --json`, with the server header of each hop added as
            ``server`` and the names of headers against buffering as ``headers``.
    """
    hops = tuple(_hop(one) for one in report["hops"])
    edge = report["hops"][0] if report["hops"] else {}
    codes = [one["code"] for one in report["findings"] if one["severity"] != "info"]
    hold = edge.get("hold_ms") or {}
    return ProbeResult(
        target,
        at_s,
        report["verdict"],
        hops,
        is_complete=edge.get("complete") is not False and bool(hops),
        ttft_ms=edge.get("ttft_ms"),
        hold_ms=hold.get("p99"),
        codes=tuple(sorted(set(codes))),
        events=sum(int(one.get("events") or 0) for one in report["hops"]),
    )


def failure_of(target: str, at_s: float, error: str) -> ProbeResult:
    """Return the result of a probe that received no stream."""
    found = _STATUS.search(error)
    status = int(found[1]) if found else None
    return ProbeResult(target, at_s, "unknown", error=error, status=status)


def _hop(row: Mapping[str, Any]) -> HopState:
    hold = row.get("hold_ms") or {}
    return HopState(
        row["name"],
        row["verdict"],
        row.get("release"),
        row.get("release_bytes"),
        row.get("release_every_ms"),
        hold.get("p99"),
        row.get("ttft_ms"),
        row.get("server"),
        row.get("http_version"),
        tuple(row.get("intermediaries") or ()),
        tuple(row.get("headers") or ()),
    )


def differences(before: ProbeResult, after: ProbeResult) -> list[str]:
    """Return what changed between two probes, as sentences; empty if nothing that matters did.

    A probe without evidence changes nothing: its verdict is `unknown`, or it was refused.
    """
    if not after.is_conclusive() or not before.is_conclusive():
        return []
    if (before.error is None) != (after.error is None):
        if after.error is not None:
            return [f"no stream any more: {after.error}"]
        return [f"streams again ({after.verdict}); before: {before.error}"]
    if after.error is not None:
        return []
    changes: list[str] = []
    known = {hop.name: hop for hop in before.hops}
    for hop in after.hops:
        if hop.name in known:
            changes += _hop_differences(known[hop.name], hop)
    return changes


def _hop_differences(before: HopState, after: HopState) -> list[str]:
    if "unknown" in {before.verdict, after.verdict} or _is_same(before, after):
        return []
    changes = [f"{after.name} {_behaviour(after)}; before: {_behaviour(before)}"]
    if before.server != after.server:
        changes.append(
            f"the Server header of {after.name} went from {before.server or 'none'} to "
            f"{after.server or 'none'}"
        )
    gone = sorted(set(before.headers) - set(after.headers))
    new = sorted(set(after.headers) - set(before.headers))
    changes += [f"{after.name} no longer sends {name}" for name in gone]
    changes += [f"{after.name} now sends {name}" for name in new]
    if before.intermediaries != after.intermediaries:
        names = [", ".join(one.intermediaries) or "none" for one in (before, after)]
        changes.append(f"the intermediaries at {after.name} went from {names[0]} to {names[1]}")
    if before.http_version != after.http_version:
        changes.append(
            f"{after.name} went from HTTP/{before.http_version} to HTTP/{after.http_version}"
        )
    return changes


def _is_same(before: HopState, after: HopState) -> bool:
    return (
        before.verdict == after.verdict
        and before.release == after.release
        and _near(before.release_bytes, after.release_bytes)
        and _near(before.period_ms, after.period_ms)
    )


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None or not one or not other:
        return True
    return max(one, other) <= _SAME * min(one, other)


def _behaviour(hop: HopState) -> str:
    """Return what a hop does, as a clause."""
    if hop.verdict == "streaming":
        return "streams"
    if hop.verdict == "late":
        return "holds each event until the next one"
    if hop.verdict == "held-to-end":
        return "holds the stream to its end"
    if hop.release_bytes is not None:
        return f"sends blocks of {hop.release_bytes} bytes"
    if hop.period_ms is not None:
        return f"sends events every {hop.period_ms:.0f} ms"
    return "sends events in bursts"
