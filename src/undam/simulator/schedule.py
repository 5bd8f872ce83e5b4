"""Schedule of a response: the due time of each event, as an offset from the request."""

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
    """Content event, due ``offset_ns`` after the request; 0 tokens mark the end of the stream."""

    offset_ns: int
    tokens: int


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """Settings for one response, and its randomly drawn length.

    Args:
        cut: the token limit of the request shortened the response.
    """

    settings: SimulatorSettings
    tokens: int
    cut: bool

    @property
    def events(self) -> int:
        """Number of content events."""
        return -(-self.tokens // self.settings.tokens_per_event)


def plan(settings: SimulatorSettings, rng: random.Random, max_tokens: int | None) -> ResponsePlan:
    """Draw the length of a response, limited to ``max_tokens``."""
    drawn = min(max(1, round(settings.tokens.sample(rng))), MAX_TOKENS)
    if max_tokens is not None and max_tokens < drawn:
        return ResponsePlan(settings, max_tokens, cut=True)
    return ResponsePlan(settings, drawn, cut=False)


def with_beacon(
    settings: SimulatorSettings, query: BeaconSchedule, rng: random.Random
) -> SimulatorSettings:
    """Return ``settings`` as changed by a beacon query; out-of-range values are clamped."""
    changes: dict[str, object] = {}
    if query.ttft_ms is not None:
        changes["ttft"] = constant(min(query.ttft_ms, MAX_DELAY_MS))
    if query.gap_ms is not None:
        changes["gap"] = constant(min(query.gap_ms, MAX_DELAY_MS))
    if query.heartbeat_ms is not None:
        changes["heartbeat_s"] = min(query.heartbeat_ms, MAX_DELAY_MS) / 1000
    if (query.before, query.silence_ms, query.after) != (None, None, None):
        before = plan(settings, rng, None).events if query.before is None else query.before
        before, after = min(before, MAX_TOKENS), min(query.after or 0, MAX_TOKENS)
        events = min(max(1, before + after), MAX_TOKENS // settings.tokens_per_event)
        changes |= {
            "tokens": constant(events * settings.tokens_per_event),
            "burst": constant(1),
            "stall_after": None if query.silence_ms is None else before,
            "stall_ms": min(query.silence_ms or 0, MAX_DELAY_MS),
        }
    return replace(settings, **changes) if changes else settings  # type: ignore[arg-type]


def scheduled_events(plan: ResponsePlan, rng: random.Random) -> Iterator[ScheduledEvent]:
    """Yield the content events of a response in order, and then its end.

    The first event is due after ``ttft``. Each further burst is due after one gap per token of an
    event. A stall replaces the gap. A stall before the first event is added to ``ttft``, and one
    after the last event delays only the end.
    """
    settings, left, sent = plan.settings, plan.tokens, 0
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

    # A constant is returned directly, because sampling takes time and would delay other responses.
    return itertools.repeat(delay()) if milliseconds.kind == "constant" else iter(delay, None)


def _sizes(events: Distribution, rng: random.Random) -> Iterator[int]:
    def size() -> int:
        return max(1, round(min(events.sample(rng), MAX_TOKENS)))

    return itertools.repeat(size()) if events.kind == "constant" else iter(size, None)
