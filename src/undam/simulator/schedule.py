"""When each event of an answer is due, as offsets from the request. Pure: no clock, no socket."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from undam.simulator.settings import MAX_DELAY_MS, MAX_TOKENS, SimulatorSettings
from undam.timing.beacon import BeaconSchedule
from undam.timing.distribution import Distribution, constant

_NS_PER_MS = 1_000_000


class ScheduledEvent(NamedTuple):
    """One content event, due ``offset_ns`` after the request; with 0 tokens: the answer's end."""

    offset_ns: int
    tokens: int


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """One answer's settings with its length drawn.

    Args:
        cut: the caller's bound on tokens made the answer shorter.
    """

    settings: SimulatorSettings
    tokens: int
    cut: bool

    @property
    def events(self) -> int:
        """Content events of the answer."""
        return -(-self.tokens // self.settings.tokens_per_event)


def plan(settings: SimulatorSettings, rng: random.Random, max_tokens: int | None) -> ResponsePlan:
    """Draw how long the answer is, at most ``max_tokens``."""
    drawn = min(max(1, round(settings.tokens.sample(rng))), MAX_TOKENS)
    if max_tokens is not None and max_tokens < drawn:
        return ResponsePlan(settings, max_tokens, cut=True)
    return ResponsePlan(settings, drawn, cut=False)


def with_beacon(
    settings: SimulatorSettings, asked: BeaconSchedule, rng: random.Random
) -> SimulatorSettings:
    """``settings`` as a beacon's question wants them; values beyond the bounds are cut to them."""
    changes: dict[str, object] = {}
    if asked.ttft_ms is not None:
        changes["ttft"] = constant(min(asked.ttft_ms, MAX_DELAY_MS))
    if asked.gap_ms is not None:
        changes["gap"] = constant(min(asked.gap_ms, MAX_DELAY_MS))
    if asked.heartbeat_ms is not None:
        changes["heartbeat_s"] = min(asked.heartbeat_ms, MAX_DELAY_MS) / 1000
    if (asked.before, asked.silence_ms, asked.after) != (None, None, None):
        before = plan(settings, rng, None).events if asked.before is None else asked.before
        before, after = min(before, MAX_TOKENS), min(asked.after or 0, MAX_TOKENS)
        events = min(max(1, before + after), MAX_TOKENS // settings.tokens_per_event)
        changes |= {
            "tokens": constant(events * settings.tokens_per_event),
            "burst": constant(1),
            "stall_after": None if asked.silence_ms is None else before,
            "stall_ms": min(asked.silence_ms or 0, MAX_DELAY_MS),
        }
    return replace(settings, **changes) if changes else settings  # type: ignore[arg-type]


def scheduled_events(answer: ResponsePlan, rng: random.Random) -> Iterator[ScheduledEvent]:
    """The content events of ``answer`` in order, and last its end, which has no tokens.

    The first event is due after ``ttft``, each further burst after one gap for every token of
    an event. A stall stands in place of the gap: before the first event it is added to ``ttft``,
    after the last one it holds back the end only.
    """
    settings, left, sent = answer.settings, answer.tokens, 0
    each, stall_after = settings.tokens_per_event, settings.stall_after
    stall_ns = int(settings.stall_ms * _NS_PER_MS)
    gaps, bursts = _delays_ns(settings.gap, rng), _sizes(settings.burst, rng)
    at_ns = next(_delays_ns(settings.ttft, rng))
    if stall_after == 0:
        at_ns += stall_ns
    while True:
        for _ in range(next(bursts)):
            tokens = min(left, each)
            left -= tokens
            sent += 1
            yield ScheduledEvent(at_ns, tokens)
            if not left or sent == stall_after:
                break
        if sent == stall_after:
            at_ns += stall_ns
        elif left:
            at_ns += next(gaps) if each == 1 else sum(itertools.islice(gaps, each))
        if not left:
            yield ScheduledEvent(at_ns, 0)
            return


def _delays_ns(milliseconds: Distribution, rng: random.Random) -> Iterator[int]:
    def delay() -> int:
        return int(min(milliseconds.sample(rng), MAX_DELAY_MS) * _NS_PER_MS)

    # The common case costs no sampling: an answer is made while others are being sent.
    return itertools.repeat(delay()) if milliseconds.kind == "constant" else iter(delay, None)


def _sizes(events: Distribution, rng: random.Random) -> Iterator[int]:
    def size() -> int:
        return max(1, round(min(events.sample(rng), MAX_TOKENS)))

    return itertools.repeat(size()) if events.kind == "constant" else iter(size, None)
