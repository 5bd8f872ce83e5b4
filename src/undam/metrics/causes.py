"""Why a figure is what it is, in words: the hop, the server, or this client.

Three questions, each answered from another part of what was measured, so that none is taken for
another: did events come together although this client was on time (the pattern of bursts)? Did
nothing come for long (stalls, by the kernel's stamps)? Could this client's own lateness have moved
a figure (bounds of what it cannot tell, and when its requests left)?
"""

from __future__ import annotations

from collections.abc import Iterator

from undam.metrics.aggregate import Aggregate
from undam.metrics.batching import find_batching
from undam.metrics.gaps import UNFELT_NS
from undam.metrics.interval_histogram import IntervalHistogram
from undam.metrics.load_generator import LoadGeneratorStats
from undam.metrics.stalls import count_stalls
from undam.record import Outcome
from undam.rules import Finding, Fix, Severity, finding

PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))

# A printed percentile that the client could have moved by more than so much is not trusted.
_MOVED_SHARE = 0.01
# A shorter delay than this is the kernel's and the network's own.
_SENT_LATE_NS = 2_000_000
# Those of `undam check`.
_LATE_NS = 10_000_000
_STEP_NS = 20_000_000
_TOKENS_PER_EVENT = 1.8
# A server on the same machine makes a client wait for some percent of its time.
_STARVED_PERCENT = 20.0
_MOST_KINDS = 5


def find_causes(
    aggregate: Aggregate, client: LoadGeneratorStats | None = None, *, hop: str = "target"
) -> list[Finding]:
    """What a report must say about its figures; doubts about this client first, then the worst.

    An orderly run has none.
    """
    mine = list(_find_doubts(aggregate, client or LoadGeneratorStats(), hop))
    others = [
        *_find_failures(aggregate, hop),
        *find_batching(aggregate, hop),
        *_find_server(aggregate, hop),
    ]
    order = list(Severity)
    mine.sort(key=lambda one: order.index(one.severity))
    others.sort(key=lambda one: order.index(one.severity))
    return mine + others


def _find_doubts(aggregate: Aggregate, client: LoadGeneratorStats, hop: str) -> Iterator[Finding]:
    remedy = Fix("undam bench", f"--workers {2 * client.workers}")
    yield from _find_uncertain(aggregate, hop, remedy)
    yield from _find_sent_late(aggregate, hop, remedy)
    late = aggregate.late.quantile(0.99) if aggregate.late.count else 0
    if late > _LATE_NS:
        yield finding("UD901", hop, late_ms=_ms(late), fix=remedy)
    if client.waited_percent is not None and client.waited_percent >= _STARVED_PERCENT:
        yield finding("UD909", hop, waited_percent=round(client.waited_percent))
    if abs(client.step_ns) > _STEP_NS or aggregate.backwards:
        step = max(client.step_ns, -aggregate.back_ns, key=abs)
        yield finding("UD903", hop, step_ms=_ms(step), answers=aggregate.backwards)
    if aggregate.unstamped > 0.01 * aggregate.requests:
        yield finding("UD904", hop, answers=aggregate.unstamped)


def _find_uncertain(aggregate: Aggregate, hop: str, remedy: Fix) -> Iterator[Finding]:
    moved = [*_moved("TTFT", aggregate.ttft), *_moved("ITL", aggregate.itl)]
    if not moved:
        return
    # What is not the far tail alone comes first, then what moves most.
    _, figure, low, shown, high = max(moved, key=lambda m: (not m[1].endswith("p99.9"), m[0]))
    yield finding(
        "UD907", hop, figure=figure, low_ms=_ms(low), shown_ms=_ms(shown), high_ms=_ms(high),
        gaps=aggregate.uncertain, fix=remedy,
        severity=Severity.INFO if figure.endswith("p99.9") else None,
    )  # fmt: skip


def _moved(name: str, times: IntervalHistogram) -> Iterator[tuple[float, str, int, int, int]]:
    """Percentiles that the bounds let move too far: by which share, whose, least, shown, most."""
    if not times.blurred:
        return
    shown = times.expected()
    # Of fewer values a percentile is the maximum, and no figure of a distribution.
    asked = [(label, q) for label, q in PERCENTILES if shown.count * (1 - q) >= 1 - 1e-9]
    low, mid, high = (
        h.quantiles(*(q for _, q in asked)) for h in (times.lowest(), shown, times.highest())
    )
    for (label, _), least, told, most in zip(asked, low, mid, high, strict=True):
        off = max(told - least, most - told)
        if off > UNFELT_NS and off > _MOVED_SHARE * told:
            yield off / max(told, 1), f"{name} {label}", least, told, most


def _find_sent_late(aggregate: Aggregate, hop: str, remedy: Fix) -> Iterator[Finding]:
    shown = aggregate.ttft.expected()
    if not shown.count:
        return
    asked = PERCENTILES[:-1]
    told = shown.quantiles(*(q for _, q in asked))
    sent = aggregate.ttft_from_sent.quantiles(*(q for _, q in asked))
    rows = [
        (a - b, label, a, b)
        for (label, _), a, b in zip(asked, told, sent, strict=True)
        if a - b > max(_SENT_LATE_NS, _MOVED_SHARE * a)
    ]
    if rows:
        _, label, a, b = max(rows, key=lambda row: row[0] / max(row[2], 1))
        delay = aggregate.send_delay.quantile(0.99)
        yield finding(
            "UD908", hop, delay_ms=_ms(delay), percentile=label, shown_ms=_ms(a),
            from_sent_ms=_ms(b), fix=remedy,
        )  # fmt: skip


def _find_failures(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    errors, incomplete = aggregate.outcomes[Outcome.ERROR], aggregate.outcomes[Outcome.INCOMPLETE]
    if errors:
        kinds = _kinds(aggregate, Outcome.ERROR)
        yield finding("UD610", hop, errors=errors, requests=aggregate.requests, kinds=kinds)
    if incomplete:
        kinds = _kinds(aggregate, Outcome.INCOMPLETE)
        yield finding("UD609", hop, incomplete=incomplete, requests=aggregate.requests, kinds=kinds)


def _kinds(aggregate: Aggregate, outcome: Outcome) -> str:
    rows = sorted(
        (-n, kind or "unknown") for (o, kind), n in aggregate.kinds.items() if o is outcome
    )
    shown = [f"{-n} {kind}" for n, kind in rows[:_MOST_KINDS]]
    rest = sum(-n for n, _ in rows[_MOST_KINDS:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def _find_server(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    stalls = count_stalls(aggregate)
    if stalls.count:
        answers = aggregate.ttft_from_sent.count
        yield finding(
            "UD502", hop, stalls=stalls.count, limit_ms=_ms(stalls.limit_ns),
            answers=stalls.answers, of=answers, longest_ms=_ms(aggregate.longest.max or 0),
            severity=Severity.INFO if stalls.answers < 0.01 * answers else None,
        )  # fmt: skip
    told = aggregate.events - aggregate.untold_events
    if told and aggregate.tokens >= _TOKENS_PER_EVENT * told:
        yield finding("UD501", hop, tokens_per_event=round(aggregate.tokens / told, 1))


def _ms(ns: int) -> float:
    return round(ns / 1e6, 1 if abs(ns) >= 10_000_000 else 2)
