"""Each request of a run as a dot, or as a cross where it failed."""

from __future__ import annotations

from collections.abc import Sequence

from undam.record import Outcome, RequestResult
from undam.report.axes import Scale, for_durations
from undam.report.chart import duration_rows, nothing_came, with_title
from undam.report.markup import Child, Markup, element, figure_ms, number
from undam.timing import quantile

MOST_DOTS = 2000
"""More would only cover each other, and a page is to stay under two megabytes."""


def thinned(requests: Sequence[RequestResult]) -> list[RequestResult]:
    """At most about `MOST_DOTS` of them: failures first, then the slowest of each slice of time,
    so that nothing that stands out is lost."""
    if len(requests) <= MOST_DOTS:
        return list(requests)
    ordered = sorted(requests, key=lambda one: one.intended_ns)
    failed = [one for one in ordered if one.outcome is not Outcome.COMPLETE]
    failed = failed[:: max(1, len(failed) * 2 // MOST_DOTS)]
    fine = [one for one in ordered if one.outcome is Outcome.COMPLETE]
    slice_ = max(1, -(-len(fine) // max(1, MOST_DOTS - len(failed))))
    slowest = [
        max(fine[i : i + slice_], key=lambda one: one.ttft_ns or 0)
        for i in range(0, len(fine), slice_)
    ]
    return [*slowest, *failed]


def dots(
    drawn: Sequence[RequestResult], begin: int, x: Scale, top: float, bottom: float
) -> list[Child]:
    """Their TTFT by their intended start.

    Args:
        begin: the time of zero on ``x``, ns.
    """
    answered = [one for one in drawn if one.reads]
    if not answered:
        return [nothing_came(top, bottom)]
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
        f"request {one.number}{', warm-up' if one.warmup else ''}: TTFT {figure_ms(ttft_ms)} "
        f"at {at_s:.2f} s, {ending(one)}",
        cx=x(at_s),
        cy=y(ttft_ms),
        r=2.4,
        class_=kind,
    )


def failures(drawn: Sequence[RequestResult], begin: int, x: Scale, y: float) -> Markup:
    """A cross for each request that failed, where it ended, on a line of their own."""
    failed = [one for one in drawn if one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE}]
    return element(
        "g",
        *(
            with_title(
                "path",
                f"request {one.number}: {ending(one)} at {(one.ended_ns - begin) / 1e9:.2f} s",
                d=cross(x((one.ended_ns - begin) / 1e9), y),
                class_="cross" if one.outcome is Outcome.ERROR else "cross cut",
            )
            for one in failed
        ),
    )


def cross(x: float, y: float) -> str:
    """Its path."""
    left, right, up, down = (number(value) for value in (x - 4, x + 4, y - 4, y + 4))
    return f"M{left} {up}L{right} {down}M{left} {down}L{right} {up}"


def ending(one: RequestResult) -> str:
    """How it ended, in words; what the server said is not repeated here."""
    if one.outcome is Outcome.COMPLETE:
        return "complete"
    return f"{one.outcome.value} ({one.kind})" if one.kind else one.outcome.value
