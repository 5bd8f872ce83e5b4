"""Disconnect trials with a beacon: whether and how fast a client disconnect reaches the origin."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress

from undam.diagnosis.findings.disconnect import Disconnect
from undam.diagnosis.holds import ClockOffset
from undam.errors import UsageError
from undam.probe.beacon import ask_closed
from undam.probe.fetch import with_timeout
from undam.probe.options import CheckOptions, Place, request_for
from undam.timing import BeaconQuery, BeaconSchedule
from undam.timing.beacon import HEADER, format_query
from undam.wire import Request, open_stream

# A hop may notice a disconnect only when the origin writes again after the idle period below. The
# wait for a result must therefore exceed that period.
_WAIT_S = 4.0
_SILENCE_MS = 3000
_GAP_MS = 25
_READ_S = 1.0
_ASK_EVERY_S = 0.1

_FLOWING = BeaconSchedule(ttft_ms=0, gap_ms=_GAP_MS, before=400, silence_ms=0, after=0)
_SILENT = BeaconSchedule(
    ttft_ms=0, gap_ms=_GAP_MS, before=20, silence_ms=_SILENCE_MS, after=40, heartbeat_ms=0
)


async def probe_disconnects(
    options: CheckOptions, place: Place, offset: ClockOffset
) -> list[Disconnect]:
    """Disconnect from an active and an idle stream; return when the origin noticed each."""
    return list(
        await asyncio.gather(
            _leave(options, place, offset, "between tokens", _FLOWING),
            _leave(options, place, offset, "in silence", _SILENT),
        )
    )


async def _leave(
    options: CheckOptions, place: Place, offset: ClockOffset, when: str, schedule: BeaconSchedule
) -> Disconnect:
    # The client chooses the ID, because it would never receive the beacon's header from a hop that
    # holds everything.
    ident = secrets.token_hex(8)
    query = format_query(BeaconQuery("schedule", ident, schedule))
    request = request_for(options, place, query=query)
    left_ns = await _read_and_leave(options, request)
    give_up = time.monotonic() + _WAIT_S
    while time.monotonic() < give_up:
        closed = await ask_closed(options, place, ident)
        if closed is not None:
            seen_ms = max(0.0, round((closed.at_ns - offset.offset_ns - left_ns) / 1e6, 3))
            # If the origin finished its answer, it did not notice the disconnect.
            return Disconnect(when, None if closed.finished else seen_ms, seen_ms)
        await asyncio.sleep(_ASK_EVERY_S)
    return Disconnect(when, None, _WAIT_S * 1000)


async def _read_and_leave(options: CheckOptions, request: Request) -> int:
    """Read for a second, close like a browser tab, and return the time of the close."""
    config = with_timeout(options.client, _READ_S + _WAIT_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(_READ_S), await open_stream(request, config) as stream:
            if stream.head.get(HEADER) is None:
                raise UsageError("--cancel needs a beacon: the response has no Undam-Beacon header")
            async for _ in stream:
                pass
    return time.time_ns()
