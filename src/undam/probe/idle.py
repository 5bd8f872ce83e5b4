"""Idle-timeout trials: streams in which the beacon is deliberately silent."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from undam.diagnosis.findings.limits import (
    PathLimits,
    Trial,
    TrialEnd,
    classify_trial,
    find_limits_of_path,
)
from undam.diagnosis.reading import read_exchange
from undam.errors import NetworkError, UndamError
from undam.probe.beacon import ask_closed, head_of
from undam.probe.fetch import fetch, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange
from undam.timing import BeaconQuery, BeaconSchedule
from undam.timing.beacon import format_query

# Idle periods, as fractions of the longest one, that are tried concurrently with it. If a hop
# silently drops the connection, they bracket its idle timeout. A cut is visible and needs no
# bracket.
_PARTS = (1.0, 0.5, 0.25, 0.125)
# Extra time before a stream counts as dropped, because Envoy cuts streams up to a second late.
_GRACE_S = 2.0


async def find_idle_limits(
    options: CheckOptions, place: Place
) -> tuple[PathLimits, list[Exchange]]:
    """Run parallel streams through ``place`` that stay silent for up to ``options.idle_s`` seconds.

    One more stream of the longest length carries heartbeats. If it survives where the silent one
    was cut, the limit is an idle limit. If both are cut at the same time, it is a total limit.
    """
    assert options.idle_s is not None
    longest = options.idle_s
    heartbeat = max(0.25, min(5.0, longest / 6))
    plans = [(longest * part, None) for part in _PARTS] + [(longest, heartbeat)]
    done = await asyncio.gather(*(_try(options, place, *plan) for plan in plans))
    exchanges = [exchange for _, exchange in done if exchange is not None]
    return find_limits_of_path([trial for trial, _ in done]), exchanges


async def _try(
    options: CheckOptions, place: Place, silence_s: float, heartbeat_s: float | None
) -> tuple[Trial, Exchange | None]:
    schedule = BeaconSchedule(
        ttft_ms=0,
        gap_ms=0,
        before=1,
        silence_ms=round(silence_s * 1000),
        after=1,
        heartbeat_ms=0 if heartbeat_s is None else round(heartbeat_s * 1000),
    )
    query = format_query(BeaconQuery("schedule", schedule=schedule))
    request = request_for(options, place, query=query)
    config = with_timeout(options.client, silence_s + _GRACE_S)
    start = time.monotonic()
    try:
        exchange = await fetch(request, config, hop=place.name, api=api_of(place).name)
    except NetworkError:
        # If a hop also buffers the response head, a cut or dropped stream returns no response at
        # all.
        lasted = time.monotonic() - start
        fate = TrialEnd.CUT if lasted < config.timeout_s else TrialEnd.DROPPED
        return Trial(silence_s, heartbeat_s, None, fate, lasted, 0), None
    trial = classify_trial(silence_s, heartbeat_s, read_exchange(exchange))
    if trial.fate is TrialEnd.CUT:
        trial = replace(trial, lasted_s=await _lasted_s(options, place, exchange, trial.lasted_s))
    return trial, exchange


async def _lasted_s(
    options: CheckOptions, place: Place, exchange: Exchange, seen_s: float
) -> float:
    """Return how long a stream lasted, until the reader's or the origin's side closed it.

    Envoy closes the upstream connection at its limit, and the downstream one a second later.
    """
    head = head_of(exchange)
    if head is None:
        return seen_s
    with suppress(UndamError):
        if closed := await ask_closed(options, place, head.id):
            return min(seen_s, (closed.at_ns - head.arrived_ns) / 1e9)
    return seen_s
