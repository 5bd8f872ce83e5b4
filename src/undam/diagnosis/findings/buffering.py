"""Findings about buffering hops: which hop holds the stream, and in what pattern."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.bursts import find_bursts
from undam.diagnosis.hop import Hop
from undam.diagnosis.shape import Release
from undam.rules import Finding, Verdict, finding
from undam.timing import median


def begins_at(hops: Sequence[Hop], index: int) -> bool:
    """Return whether the hold observed at hop ``index`` begins there rather than at an inner hop.

    A stream that is already held at an inner hop cannot be attributed to an outer hop, unless that
    hop makes the pattern worse. Inner hops with an unknown verdict are skipped.
    """
    hop = hops[index]
    if not hop.shape.held:
        return False
    known = (one for one in hops[index + 1 :] if one.shape.verdict is not Verdict.UNKNOWN)
    inner = next(known, None)
    if inner is None or not inner.shape.held:
        return True
    # Lateness does not change the pace, so a late inner hop explains only a late outer hop.
    if inner.shape.verdict is Verdict.LATE:
        return hop.shape.verdict is not Verdict.LATE
    worse = hop.shape.verdict is Verdict.HELD_TO_END and inner.shape.verdict is Verdict.BATCHED
    return worse and not _fits(hop, inner)


def _fits(hop: Hop, inner: Hop) -> bool:
    """Return whether the whole answer at ``hop`` fits in one burst of the inner hop.

    Answers to the same prompt differ in length, and an answer shorter than a block arrives whole.
    """
    most = max((burst.events for burst in find_bursts(inner.reading)), default=0)
    return len(hop.reading.contents) <= most


def find_buffering(hops: Sequence[Hop]) -> list[Finding]:
    """Return a finding for each hop where a hold begins, and an info for each open question.

    Args:
        hops: outermost first.
    """
    found: list[Finding] = []
    for index, hop in enumerate(hops):
        if begins_at(hops, index):
            found.append(_name_hold(hop, hops[index + 1 :]))
            if coding := coding_of(hop):
                found.append(finding("UD106", hop.name, coding=coding))
        elif hop.shape.verdict is Verdict.UNKNOWN and hop.reading.items:
            # If no event arrived at all, another finding reports that, so an info would be
            # redundant.
            found.append(finding("UD905", hop.name, reason=hop.shape.reason))
        elif hop.shape.evidence.get("whole_steps") and not hop.holds:
            if index == len(hops) - 1:
                found.append(_name_steps(hop))
        elif hop.shape.evidence.get("few_at_a_time") and not hop.holds:
            found.append(finding("UD112", hop.name, _events_per_burst(hop)))
    return found


def coding_of(hop: Hop) -> str | None:
    """Return the content coding of the response; ``None`` if it is not compressed."""
    head = hop.exchange.head
    coding = (head.get("content-encoding") or "").strip().lower() if head else ""
    return coding if coding not in {"", "identity"} else None


def _name_hold(hop: Hop, further_in: Sequence[Hop]) -> Finding:
    shape = hop.shape
    evidence: dict[str, object] = {"verdict": shape.verdict.value, **shape.evidence}
    if further_in and further_in[0].shape.verdict is Verdict.UNKNOWN:
        evidence["may_begin_at"] = further_in[0].name
    if shape.release is Release.END:
        contents = hop.reading.contents
        first, last = contents[0].at_ns, contents[-1].at_ns
        evidence |= {
            "events": len(contents),
            "within_ms": round((last - first) / 1e6, 3),
            "after_ms": round((first - hop.reading.sent_ns) / 1e6, 1),
        }
        return finding("UD101", hop.name, evidence)
    if shape.release is Release.NEXT:
        evidence["late_events"] = evidence.pop("held_events", None)
        return finding("UD104", hop.name, evidence)
    evidence |= _events_per_burst(hop)
    if shape.release is Release.SIZE:
        return finding("UD102", hop.name, evidence | {"block_bytes": shape.release_bytes})
    if shape.release is Release.TIMER:
        every = round(shape.period_ms or 0.0, 1)
        return finding("UD103", hop.name, evidence | {"every_ms": every})
    return finding("UD111", hop.name, evidence)


def _name_steps(hop: Hop) -> Finding:
    every_ms = hop.shape.evidence.get("every_ms")
    return finding("UD503", hop.name, _events_per_burst(hop), every_ms=every_ms)


def _events_per_burst(hop: Hop) -> dict[str, object]:
    counts = hop.shape.evidence.get("events_per_burst")
    if not isinstance(counts, dict):
        # A verdict from holds alone has no pattern as evidence.
        sizes = [burst.events for burst in find_bursts(hop.reading)]
        counts = {"p50": int(median(sizes)), "max": max(sizes)}
    typical, most = counts["p50"], counts["max"]
    return {"events_per_burst": f"{typical}" if typical == most else f"{typical} to {most}"}
