"""Experiments: further streams from a hop that settle a question left open by its first stream.

`undam.probe.followup` sends the requests; everything here is computation on their readings.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from undam.diagnosis.bursts import find_bursts
from undam.diagnosis.hop import Hop, comes_singly
from undam.diagnosis.reading import Reading
from undam.diagnosis.rhythm import Cause
from undam.diagnosis.shape import Shape, by_cause, classify_pattern, median_events
from undam.rules import Verdict
from undam.timing import median

TWO_STREAMS = "two-streams"
UNPREDICTABLE = "unpredictable-prompt"
IDENTITY = "identity"
LONGER = "longer-answer"

# Bursts of two streams coincide by chance in one case out of ten, so one coincidence proves
# nothing.
_ENOUGH_PAIRS = 5
_TOGETHER_SHARE = 0.8
# An engine writes the tokens of a step to all streams of its batch within a small part of the
# period.
_TOGETHER_PART = 0.05
_TOGETHER_NS = 3_000_000
# An engine that drafts tokens gets far fewer of them accepted if it cannot predict the text.
_SHRUNK = 0.6


@dataclass(frozen=True, slots=True)
class Experiment:
    """Follow-up experiment to a check, with its result.

    Args:
        name: one of the constants of this module.
        hop: name of the hop.
        result: the observation and its meaning, as one clause.
        cause: the cause of the bursts that the result proves.
        streams: whether a changed request streamed; ``None`` if that is unknown or not tested.
    """

    name: str
    hop: str
    result: str
    cause: Cause = Cause.OPEN
    streams: bool | None = None


def compare_streams(hop: str, first: Reading, second: Reading) -> Experiment:
    """Return the result of the experiment with two streams that started out of phase.

    The steps of one engine's batch arrive together, but a hop's timer runs per connection. Streams
    that do not coincide may come from two engines, so only their ends count then.
    """
    causes = {_cause_in(classify_pattern(one)) for one in (first, second)} - {Cause.OPEN}
    share = _coinciding(first, second)
    if share is not None and share >= _TOGETHER_SHARE and Cause.HOP not in causes:
        result = "the bursts of both streams arrived together, as the steps of one engine do"
        return Experiment(TWO_STREAMS, hop, result, Cause.ENGINE)
    apart = (
        "the streams did not overlap"
        if share is None
        else "the bursts of the two streams did not arrive together"
    )
    if causes == {Cause.HOP}:
        result = f"{apart}, and the end of a response released its last burst early, as a hop does"
        return Experiment(TWO_STREAMS, hop, result, Cause.HOP)
    if causes == {Cause.ENGINE}:
        result = f"{apart}, but a small last burst took as long as the others, as an engine's does"
        return Experiment(TWO_STREAMS, hop, result, Cause.ENGINE)
    return Experiment(
        TWO_STREAMS, hop, f"{apart}: two engines and a timer for each stream look alike"
    )


def compare_prompts(hop: str, usual: Shape, unpredictable: Reading) -> Experiment:
    """Return the result of the experiment with an answer that an engine cannot predict.

    The bursts of a drafting engine shrink. Those of a hop's timer and of fixed steps do not.
    """
    shape = classify_pattern(unpredictable)
    before, after = median_events(usual), median_events(shape)
    if isinstance(before, int | float) and isinstance(after, int | float):
        if after <= _SHRUNK * before:
            result = (
                f"bursts shrank from {before} to {after} events, as those of a drafting engine do"
            )
            return Experiment(UNPREDICTABLE, hop, result, Cause.ENGINE)
        result = f"bursts kept their size ({before} and {after} events)"
        return Experiment(UNPREDICTABLE, hop, result)
    return Experiment(
        UNPREDICTABLE, hop, f"no result: {shape.reason or 'the answer has no bursts'}"
    )


def compare_coding(hop: str, coding: str, identity: Reading) -> Experiment:
    """Return the result of the experiment with an uncompressed response."""
    shape = classify_pattern(identity)
    head = identity.exchange.head
    if head is not None and (head.get("content-encoding") or "identity").lower() != "identity":
        return Experiment(IDENTITY, hop, "no result: the response is compressed all the same")
    if shape.verdict is Verdict.STREAMING:
        result = f"the stream flows without {coding}: the compressor holds it"
        cause = Cause.HOP if comes_singly(identity) else Cause.OPEN
        return Experiment(IDENTITY, hop, result, cause, streams=True)
    if shape.held:
        result = f"the stream is held without {coding}, too: {shape.verdict.value}"
        return Experiment(IDENTITY, hop, result, streams=False)
    return Experiment(IDENTITY, hop, f"no result: {shape.reason}")


def compare_length(hop: str, longer: Reading) -> Experiment:
    """Return the result of the experiment with a longer answer."""
    shape = classify_pattern(longer)
    if shape.verdict is Verdict.UNKNOWN:
        return Experiment(LONGER, hop, f"no result: {shape.reason}")
    count = len(longer.contents)
    return Experiment(LONGER, hop, f"{count} events, and the verdict {shape.verdict.value}")


def with_experiments(hop: Hop, experiments: Sequence[Experiment]) -> Hop:
    """Return the hop with the verdict that its experiments prove.

    Without a proof, or if two contradict each other, the hop keeps its verdict.
    """
    hold = hop.shape.hold
    causes = {one.cause for one in experiments if one.hop == hop.name} - {Cause.OPEN}
    if hold is None or len(causes) != 1:
        return hop
    return replace(hop, shape=by_cause(hold, causes.pop()))


def with_reading(hop: Hop, reading: Reading) -> Hop:
    """Return the hop with the shape of ``reading``, if that stream has a verdict."""
    shape = classify_pattern(reading)
    if shape.verdict is Verdict.UNKNOWN and shape.hold is None:
        return hop
    return replace(hop, readings=(reading, *hop.readings), shape=shape)


def _cause_in(shape: Shape) -> Cause:
    """Return the cause that one stream proves by itself."""
    if shape.held:
        return Cause.HOP
    steps = shape.verdict is Verdict.STREAMING and shape.evidence.get("whole_steps")
    return Cause.ENGINE if steps else Cause.OPEN


def _coinciding(first: Reading, second: Reading) -> float | None:
    """Return the share of bursts that coincide in both streams; ``None`` if there are too few."""
    starts = [[burst.start_ns for burst in find_bursts(one)] for one in (first, second)]
    if not all(starts):
        return None
    begin, end = max(one[0] for one in starts), min(one[-1] for one in starts)
    both = [[at for at in one if begin <= at <= end] for one in starts]
    fewer, more = sorted(both, key=len)
    if len(fewer) < _ENOUGH_PAIRS:
        return None
    period = median([after - at for at, after in pairwise(more)])
    limit = min(max(_TOGETHER_NS, _TOGETHER_PART * period), period / 6)
    return sum(_distance(at, more) <= limit for at in fewer) / len(fewer)


def _distance(at: int, times: Sequence[int]) -> int:
    index = bisect_left(times, at)
    return min(abs(at - near) for near in times[max(0, index - 1) : index + 1])
