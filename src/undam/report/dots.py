"""Requests in a run as dots; failed requests as crosses."""

from __future__ import annotations

from collections.abc import Sequence

from undam.record import Outcome, RequestResult
from undam.report.axes import Scale, for_durations
from undam.report.chart import duration_rows, no_content_note, with_title
from undam.report.markup import Child, Markup, element, format_ms, px
from undam.timing import quantile

MAX_DOTS = 2000
"""Maximum number of dots: more would overlap, and the page has to stay below 2 MB."""


def thin_out(requests: Sequence[RequestResult]) -> list[RequestResult]:
    """Return about `MAX_DOTS` requests: failures, and the slowest request in each time slice.

    All outliers are kept.
    """
    if len(requests) <= MAX_DOTS:
        return list(requests)
    ordered = sorted(requests, key=lambda one: one.intended_ns)
    failed = [one for one in ordered if one.outcome is not Outcome.COMPLETE]
    failed = failed[:: max(1, len(failed) * 2 // MAX_DOTS)]
    complete = [one for one in ordered if one.outcome is Outcome.COMPLETE]
    slice_ = max(1, -(-len(complete) // max(1, MAX_DOTS - len(failed))))
    slowest = [
        max(complete[i : i + slice_], key=lambda one: one.ttft_ns or 0)
        for i in range(0, len(complete), slice_)
    ]
    return [*slowest, *failed]


def dots(
    drawn: Sequence[RequestResult], begin: int, x: Scale, top: float, bottom: float
) -> list[Child]:
    """Return one dot per request: its TTFT at its intended start.

    Args:
        begin: time of zero on ``x``, ns.
    """
    answered = [one for one in drawn if one.reads]
    if not answered:
        return [no_content_note(top, bottom)]
    values = sorted((one.ttft_ns or 0) / 1e6 for one in answered)
    y = for_durations(values, quantile(values, 0.5), bottom, top)
    return [duration_rows(y), element("g", *(_dot(one, begin, x, y) for one in answered))]


def _dot(one: RequestResult, begin: int, x: Scale, y: Scale) -> Markup:
    at_s, ttft_ms = (one.intended_ns - begin) / 1e9, (one.ttft_ns or 0) / 1e6
    kind = "warm" if one.warmup else "dot"
    if one.outcome is Outcome.INCOMPLETE:
        kind += " cut"
    return with_title(
        "circle",
        f"request {one.number}{', warm-up' if one.warmup else ''}: TTFT {format_ms(ttft_ms)} "
        f"at {at_s:.2f} s, {outcome_text(one)}",
        cx=x(at_s),
        cy=y(ttft_ms),
        r=2.4,
        class_=kind,
    )


def failures(drawn: Sequence[RequestResult], begin: int, x: Scale, y: float) -> Markup:
    """Return one cross per failed request, at the time at which it ended."""
    failed = [one for one in drawn if one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE}]
    return element(
        "g",
        *(
            with_title(
                "path",
                f"request {one.number}: {outcome_text(one)}"
                f" at {(one.ended_ns - begin) / 1e9:.2f} s",
                d=cross(x((one.ended_ns - begin) / 1e9), y),
                class_="cross" if one.outcome is Outcome.ERROR else "cross cut",
            )
            for one in failed
        ),
    )


def cross(x: float, y: float) -> str:
    """Return the SVG path of a cross."""
    left, right, up, down = (px(value) for value in (x - 4, x + 4, y - 4, y + 4))
    return f"M{left} {up}L{right} {down}M{left} {down}L{right} {up}"


def outcome_text(one: RequestResult) -> str:
    """Return the outcome as text, without the error message from the server."""
    if one.outcome is Outcome.COMPLETE:
        return "complete"
    return f"{one.outcome.value} ({one.kind})" if one.kind else one.outcome.value
