"""How long may a stream be silent? Asked of a beacon that keeps silent on purpose."""

from __future__ import annotations

import asyncio

from undam.diagnosis.limits import Limits, Trial, judge_limits, judge_trial
from undam.diagnosis.reading import read_exchange
from undam.probe.fetch import fetch, patient
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange
from undam.timing import BeaconQuestion, BeaconSchedule
from undam.timing.beacon import format_question

# Parts of the longest silence that are tried beside it: they bracket a hop that forgets without a
# word. A cut needs no bracket, for it shows its own time.
_PARTS = (1.0, 0.5, 0.25, 0.125)
# How much longer than the silence a stream may take before nothing more is expected: Envoy's cuts
# were seen a second late.
_GRACE_S = 2.0


async def find_idle_limits(options: CheckOptions, place: Place) -> tuple[Limits, list[Exchange]]:
    """Keep streams through ``place`` silent for up to ``options.idle_s`` seconds, all at once.

    One more of the longest silence carries heartbeats: if it lives where the silent one was cut,
    the limit is an idle one; if both are cut at the same time, it is a total one.
    """
    assert options.idle_s is not None
    longest = options.idle_s
    heartbeat = max(0.25, min(5.0, longest / 6))
    plans = [(longest * part, None) for part in _PARTS] + [(longest, heartbeat)]
    done = await asyncio.gather(*(_try(options, place, *plan) for plan in plans))
    return judge_limits([trial for trial, _ in done]), [exchange for _, exchange in done]


async def _try(
    options: CheckOptions, place: Place, silence_s: float, heartbeat_s: float | None
) -> tuple[Trial, Exchange]:
    schedule = BeaconSchedule(
        ttft_ms=0,
        gap_ms=0,
        before=1,
        silence_ms=round(silence_s * 1000),
        after=1,
        heartbeat_ms=0 if heartbeat_s is None else round(heartbeat_s * 1000),
    )
    question = format_question(BeaconQuestion("schedule", schedule=schedule))
    request = request_for(options, place, question=question)
    config = patient(options.client, silence_s + _GRACE_S)
    api = api_of(place).name
    exchange = await fetch(request, config, hop=place.name, api=api)
    return judge_trial(silence_s, heartbeat_s, read_exchange(exchange)), exchange
