"""Causes of slow tokens: the hop, the server, or the load generator.

Three separate questions, each answered from different data:

- Did the hop send events together, although the load generator was on time? (pattern of bursts)
- Did the server pause? (stalls, by kernel timestamps)
- Could lateness of the load generator have changed a metric? (intervals, and actual start times)
"""

from __future__ import annotations

from collections.abc import Iterator

from undam.metrics.aggregate import Aggregate
from undam.metrics.batching import find_batching
from undam.metrics.gaps import NEGLIGIBLE_NS
from undam.metrics.interval_histogram import IntervalHistogram
from undam.metrics.load_generator import LoadGeneratorStats
from undam.metrics.stalls import count_stalls
from undam.metrics.validity.asked import RequestedLoad
from undam.metrics.validity.findings import find_validity
from undam.record import Outcome
from undam.record.request_result import INTEGRITY_FAULTS
from undam.rules import Finding, Fix, Severity, finding
from undam.timing import to_ms

PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))

# A percentile is unreliable if late reads could have changed it by more than this share.
_MAX_ERROR_SHARE = 0.01
# A check can repeat its request, while the percentiles of a load test depend on every read.
_DOUBTFUL = Severity.WARNING
# Shorter delays are normal for the kernel and the network.
_SENT_LATE_NS = 2_000_000
# Limits for late reads and clock steps, as in `undam check`.
_LATE_NS = 10_000_000
_STEP_NS = 20_000_000
_TOKENS_PER_EVENT = 1.8
# If the server runs on the same machine, some waiting for a CPU is normal.
_STARVED_PERCENT = 20.0
_MOST_KINDS = 5
# Nagle's algorithm does not delay the first response on a connection, and there are at most as many
# connections as concurrent streams.
_MIN_DELAYED = 3
_DELAYED_SHARE = 0.3
# Finding codes for ``INTEGRITY_FAULTS``, and texts for the sources of the evidence.
_INTEGRITY_CODES = ("UD611", "UD612", "UD613", "UD614", "UD615", "UD616")
_SOURCES = {
    "numbered-text": "the numbers and checksums of the beacon",
    "stamps": "the numbers of the beacon",
    "sequence-numbers": "the sequence numbers of the API",
    "event-ids": "the event IDs",
    "events": "the text",
}


def find_causes(
    aggregate: Aggregate,
    client: LoadGeneratorStats | None = None,
    *,
    hop: str = "target",
    asked: RequestedLoad | None = None,
) -> list[Finding]:
    """Return the findings of a run: measurement caveats first, then by severity.

    A run without problems has none.
    """
    asked = asked or RequestedLoad()
    caveats = [
        *_find_caveats(aggregate, client or LoadGeneratorStats(), hop, asked),
        *find_validity(aggregate, asked, hop),
    ]
    others = [
        *_find_failures(aggregate, hop),
        *_find_integrity(aggregate, hop),
        *find_batching(aggregate, hop),
        *_find_nagle(aggregate, hop),
        *_find_server(aggregate, hop, streams=asked.streams),
    ]
    order = list(Severity)
    caveats.sort(key=lambda one: order.index(one.severity))
    others.sort(key=lambda one: order.index(one.severity))
    return caveats + others


def _find_caveats(
    aggregate: Aggregate, client: LoadGeneratorStats, hop: str, asked: RequestedLoad
) -> Iterator[Finding]:
    remedy = Fix("undam bench", f"--workers {2 * client.workers}")
    yield from _find_uncertain(aggregate, hop, remedy)
    if asked.max_concurrency is None:
        # With a limit, requests are sent late because they wait for others to end, as requested.
        yield from _find_late_sends(aggregate, hop, remedy)
    late = aggregate.read_lateness.quantile(0.99) if aggregate.read_lateness.count else 0
    if late > _LATE_NS:
        yield finding("UD901", hop, severity=_DOUBTFUL, late_ms=_ms(late), fix=remedy)
    if client.waited_percent is not None and client.waited_percent >= _STARVED_PERCENT:
        yield finding("UD909", hop, waited_percent=round(client.waited_percent))
    if abs(client.step_ns) > _STEP_NS or aggregate.clock_steps_back:
        step = max(client.step_ns, -aggregate.max_step_back_ns, key=abs)
        back = aggregate.clock_steps_back
        yield finding("UD903", hop, severity=_DOUBTFUL, step_ms=_ms(step), answers=back)
    if aggregate.unstamped > 0.01 * aggregate.requests:
        yield finding("UD904", hop, answers=aggregate.unstamped)


def _find_uncertain(aggregate: Aggregate, hop: str, remedy: Fix) -> Iterator[Finding]:
    unreliable = [*_unreliable("TTFT", aggregate.ttft), *_unreliable("ITL", aggregate.itl)]
    if not unreliable:
        return
    # Percentiles other than p99.9 come first, then the one that could change most.
    _, figure, low, shown, high = max(unreliable, key=lambda m: (not m[1].endswith("p99.9"), m[0]))
    yield finding(
        "UD907", hop, figure=figure, low_ms=_ms(low), shown_ms=_ms(shown), high_ms=_ms(high),
        gaps=aggregate.uncertain_gaps, fix=remedy,
        severity=Severity.INFO if figure.endswith("p99.9") else None,
    )  # fmt: skip


def _unreliable(name: str, times: IntervalHistogram) -> Iterator[tuple[float, str, int, int, int]]:
    """Yield (relative error, name, lower, estimate, upper) for each unreliable percentile."""
    if not times.intervals:
        return
    shown = times.expected()
    # With fewer values, a percentile is the same as the maximum.
    wanted = [(label, q) for label, q in PERCENTILES if shown.count * (1 - q) >= 1 - 1e-9]
    low, mid, high = (
        h.quantiles(*(q for _, q in wanted)) for h in (times.lowest(), shown, times.highest())
    )
    for (label, _), lower, estimate, upper in zip(wanted, low, mid, high, strict=True):
        error = max(estimate - lower, upper - estimate)
        if error > NEGLIGIBLE_NS and error > _MAX_ERROR_SHARE * estimate:
            yield error / max(estimate, 1), f"{name} {label}", lower, estimate, upper


def _find_late_sends(aggregate: Aggregate, hop: str, remedy: Fix) -> Iterator[Finding]:
    shown = aggregate.ttft.expected()
    if not shown.count:
        return
    wanted = PERCENTILES[:-1]
    intended = shown.quantiles(*(q for _, q in wanted))
    sent = aggregate.ttft_from_sent.quantiles(*(q for _, q in wanted))
    rows = [
        (a - b, label, a, b)
        for (label, _), a, b in zip(wanted, intended, sent, strict=True)
        if a - b > max(_SENT_LATE_NS, _MAX_ERROR_SHARE * a)
    ]
    if rows:
        _, label, a, b = max(rows, key=lambda row: row[0] / max(row[2], 1))
        delay = aggregate.send_delay.quantile(0.99)
        yield finding(
            "UD908", hop, delay_ms=_ms(delay), percentile=label, shown_ms=_ms(a),
            from_sent_ms=_ms(b), fix=remedy,
        )  # fmt: skip


def _find_nagle(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    """Yield the finding if many responses show the delay that Nagle's algorithm causes."""
    delayed = aggregate.nagle_answers
    if delayed >= _MIN_DELAYED and delayed >= _DELAYED_SHARE * aggregate.ttft_from_sent.count:
        yield finding("UD206", hop, delay_ms=to_ms(aggregate.nagle_ns // delayed, 1))


def _find_failures(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    errors, incomplete = aggregate.outcomes[Outcome.ERROR], aggregate.outcomes[Outcome.INCOMPLETE]
    if errors:
        kinds = _kinds(aggregate, Outcome.ERROR)
        yield finding("UD610", hop, errors=errors, requests=aggregate.requests, kinds=kinds)
    if incomplete:
        kinds = _kinds(aggregate, Outcome.INCOMPLETE)
        silent = aggregate.silent
        yield finding(
            "UD609", hop, incomplete=incomplete, requests=aggregate.requests, kinds=kinds,
            silent=f" ({silent} of them before any content)" if silent else "",
        )  # fmt: skip


def _find_integrity(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    for kind, code in zip(INTEGRITY_FAULTS, _INTEGRITY_CODES, strict=True):
        found = {by: n for (known, by), n in aggregate.content_faults.items() if known == kind}
        if found:
            number, place = aggregate.content_places[kind]
            count = sum(found.values())
            # A model may emit the replacement character itself, and IDs may have gaps for other
            # reasons.
            is_weak = found.keys() == {"event-ids"} or (kind == "torn" and count == 1)
            yield finding(
                code, hop, count=count, events=aggregate.content_events,
                first=f"{place}, request {number}",
                source=_SOURCES[max(found, key=found.__getitem__)],
                severity=Severity.WARNING if is_weak else None,
            )  # fmt: skip


def _kinds(aggregate: Aggregate, outcome: Outcome) -> str:
    rows = sorted(
        (-n, kind or "unknown") for (o, kind), n in aggregate.failure_kinds.items() if o is outcome
    )
    shown = [f"{-n} {kind}" for n, kind in rows[:_MOST_KINDS]]
    rest = sum(-n for n, _ in rows[_MOST_KINDS:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def _find_server(aggregate: Aggregate, hop: str, *, streams: bool) -> Iterator[Finding]:
    stalls = count_stalls(aggregate)
    if stalls.count:
        answers = aggregate.ttft_from_sent.count
        yield finding(
            "UD502", hop, stalls=stalls.count, limit_ms=_ms(stalls.limit_ns),
            answers=stalls.answers, of=answers, longest_ms=_ms(aggregate.longest_gaps.max or 0),
            severity=Severity.INFO if stalls.answers < 0.01 * answers else None,
        )  # fmt: skip
    events = aggregate.events - aggregate.events_without_usage
    tokens = aggregate.streamed_tokens
    if streams and events and tokens >= _TOKENS_PER_EVENT * events:
        yield finding("UD501", hop, tokens_per_event=round(tokens / events, 1))


def _ms(ns: int) -> float:
    return to_ms(ns, 1 if abs(ns) >= 10_000_000 else 2)
