"""Result of one probe: the part of a check's result that is compared over time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Block sizes or periods that differ by less than this factor count as equal.
_SAME = 1.25
_STATUS = re.compile(r"answered (\d{3})\b")

FAULTS = ("lost", "duplicated", "reordered", "altered", "torn")
"""Kinds of integrity faults, as in the field ``integrity`` of a report."""


@dataclass(frozen=True, slots=True)
class HopState:
    """Behavior of one hop during a probe.

    Args:
        release: what releases held events (size, timer, next, end), if it holds.
        server: value of the Server header.
        headers: lines of the head that prevent buffering, such as ``x-accel-buffering: no``.
        tls_days_left: days until the certificate expires.
        faults: number of events by kind of integrity fault, such as ``lost``.
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
    tls_days_left: float | None = None
    faults: tuple[tuple[str, int], ...] = ()


class ProbeSummary(NamedTuple):
    """The part of a probe result that objectives evaluate."""

    at_s: float
    verdict: str
    is_complete: bool
    ttft_ms: float | None
    hold_ms: float | None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Result of one probe of a target.

    Args:
        at_s: Unix time of the probe.
        verdict: verdict of the outermost hop; ``unknown`` after a failure.
        error: why no stream was received; ``None`` if one was.
        status: HTTP status of a refusal.
        retry_after_s: time after which the server permits another request, if it names one.
        codes: codes of errors and warnings.
        events: content events of all hops, which are counted as tokens.
        arrivals_ms: times of the content events at the edge, from the request; of the last probe.
        heartbeats: number of comments in the stream at the edge.
        fixes: the fix of each error and warning, as ``where: text``.
        idle_tried_s, idle_cut_s: longest silence that was tried, and the one after which the stream
            was cut; ``None`` if it was not tried, or not cut.
        cancels: for each kind of disconnect, the time in ms after which the origin noticed it;
            ``None`` if it did not.
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
    retry_after_s: float | None = None
    codes: tuple[str, ...] = ()
    events: int = 0
    arrivals_ms: tuple[float, ...] = ()
    heartbeats: int = 0
    fixes: tuple[str, ...] = ()
    idle_tried_s: float | None = None
    idle_cut_s: float | None = None
    cancels: tuple[tuple[str, float | None], ...] = ()

    @property
    def summary(self) -> ProbeSummary:
        """Return the part that objectives evaluate."""
        return ProbeSummary(self.at_s, self.verdict, self.is_complete, self.ttft_ms, self.hold_ms)

    @property
    def tokens_per_s(self) -> float | None:
        """Return the rate of content events at the edge, measured from the first event."""
        if len(self.arrivals_ms) < 2 or self.arrivals_ms[-1] <= self.arrivals_ms[0]:
            return None
        duration_ms = self.arrivals_ms[-1] - self.arrivals_ms[0]
        return 1000 * (len(self.arrivals_ms) - 1) / duration_ms

    @property
    def is_refused(self) -> bool:
        """Return whether the server refused the probe: invalid key, or too many requests."""
        return self.status in {401, 403, 429}

    def is_conclusive(self) -> bool:
        """Return whether the probe can prove a change, because it failed or has a verdict."""
        return (self.error is not None and not self.is_refused) or self.verdict != "unknown"


def result_of(target: str, at_s: float, report: Mapping[str, Any]) -> ProbeResult:
    """Return the probe result for the report of a check.

    Args:
        report: the result of `undam check --json`, with what `with_observations` adds: the Server
            header and the headers against buffering of each hop, the arrivals at the edge, and the
            failure of the edge.
    """
    failure = report.get("failure") or {}
    hops = tuple(_hop(one) for one in report["hops"])
    edge = report["hops"][0] if report["hops"] else {}
    found = [one for one in report["findings"] if one["severity"] != "info"]
    fixes = [one["fix"] for one in found if one.get("fix")]
    limits = report.get("limits") or {}
    cancels = [(one["when"], one["seen_after_ms"]) for one in report.get("cancel") or ()]
    return ProbeResult(
        target,
        at_s,
        report["verdict"],
        hops,
        is_complete=edge.get("complete") is not False and bool(hops) and not failure,
        ttft_ms=edge.get("ttft_ms"),
        hold_ms=(edge.get("hold_ms") or {}).get("p99"),
        error=failure.get("error"),
        status=failure.get("status"),
        retry_after_s=failure.get("retry_after_s"),
        codes=tuple(sorted({one["code"] for one in found})),
        events=sum(int(one.get("events") or 0) for one in report["hops"]),
        arrivals_ms=tuple(report.get("arrivals_ms") or ()),
        heartbeats=int(report.get("heartbeats") or 0),
        fixes=tuple(dict.fromkeys(f"{one['where']}: {one['text']}" for one in fixes)),
        idle_tried_s=limits.get("tried_s"),
        idle_cut_s=_idle_cut_s(limits),
        cancels=tuple(cancels),
    )


def _idle_cut_s(limits: Mapping[str, Any]) -> float | None:
    """Return the idle time after which a stream was cut, or dropped without a close."""
    dropped = limits.get("drop_between_s")
    cut_s = limits.get("idle_s")
    return dropped[1] if cut_s is None and dropped else cut_s


def failure_of(
    target: str,
    at_s: float,
    error: str,
    status: int | None = None,
    retry_after_s: float | None = None,
) -> ProbeResult:
    """Return the result of a probe that received no stream.

    Args:
        status: HTTP status; by default, the one in the text of the error.
    """
    found = _STATUS.search(error)
    if status is None and found is not None:
        status = int(found[1])
    return ProbeResult(
        target, at_s, "unknown", error=error, status=status, retry_after_s=retry_after_s
    )


def _hop(row: Mapping[str, Any]) -> HopState:
    hold = row.get("hold_ms") or {}
    integrity = row.get("integrity") or {}
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
        row.get("tls_days_left"),
        tuple((kind, int(integrity[kind])) for kind in FAULTS if integrity.get(kind)),
    )


def differences(before: ProbeResult, after: ProbeResult) -> list[str]:
    """Return the relevant changes between two probes, one sentence each; may be empty.

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
    if before.is_complete != after.is_complete:
        ends = "is complete again" if after.is_complete else "ends early; before: it was complete"
        changes.append(f"the stream {ends}")
    known = {hop.name: hop for hop in before.hops}
    for hop in after.hops:
        if hop.name in known:
            changes += _hop_differences(known[hop.name], hop)
    return changes


def _hop_differences(before: HopState, after: HopState) -> list[str]:
    if "unknown" in {before.verdict, after.verdict}:
        return []
    changes = []
    if not _is_same(before, after):
        changes.append(f"{after.name} {_behaviour(after)}; before: {_behaviour(before)}")
    if [kind for kind, _ in before.faults] != [kind for kind, _ in after.faults]:
        changes.append(f"events at {after.name}: {_faults(after)}; before: {_faults(before)}")
    if not changes:
        return []
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
    versions = {before.http_version, after.http_version}
    if len(versions) == 2 and None not in versions:
        changes.append(
            f"{after.name} went from HTTP/{before.http_version} to HTTP/{after.http_version}"
        )
    return changes


def _faults(hop: HopState) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in hop.faults) or "all as they were sent"


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
    """Return the behavior of a hop as a verb phrase, such as "holds the stream until its end"."""
    if hop.verdict == "streaming":
        return "streams"
    if hop.verdict == "late":
        return "holds each event until the next one"
    if hop.verdict == "held-to-end":
        return "holds the stream until its end"
    if hop.release_bytes is not None:
        return f"sends blocks of {hop.release_bytes} bytes"
    if hop.period_ms is not None:
        return f"sends events every {hop.period_ms:.0f} ms"
    return "sends events in bursts"
