"""Does the origin see its client leave, and how soon? Asked of a beacon."""

from __future__ import annotations

import asyncio
import time

from undam.diagnosis.holds import Offset
from undam.diagnosis.leaving import Leaving
from undam.errors import UsageError
from undam.probe.beacon import ask_closed
from undam.probe.fetch import patient
from undam.probe.options import CheckOptions, Place, request_for
from undam.timing import BeaconQuestion, BeaconSchedule
from undam.timing.beacon import HEADER, format_question, parse_head
from undam.wire import Request, open_stream

# A hop that only notices at the origin's next write does so well within the silence below.
_WAIT_S = 4.0
_SILENCE_MS = 3000
_GAP_MS = 25
_READ_S = 1.0
_ASK_EVERY_S = 0.1

_FLOWING = BeaconSchedule(ttft_ms=0, gap_ms=_GAP_MS, before=400, silence_ms=0, after=0)
_SILENT = BeaconSchedule(
    ttft_ms=0, gap_ms=_GAP_MS, before=20, silence_ms=_SILENCE_MS, after=1, heartbeat_ms=0
)


async def find_leaving(options: CheckOptions, place: Place, offset: Offset) -> list[Leaving]:
    """Leave one stream between its tokens and one in its silence, and ask when it was seen."""
    return list(
        await asyncio.gather(
            _leave(options, place, offset, "between tokens", _FLOWING),
            _leave(options, place, offset, "in silence", _SILENT),
        )
    )


async def _leave(
    options: CheckOptions, place: Place, offset: Offset, when: str, schedule: BeaconSchedule
) -> Leaving:
    question = format_question(BeaconQuestion("schedule", schedule=schedule))
    request = request_for(options, place, question=question)
    ident, left_ns = await _read_and_leave(options, request)
    give_up = time.monotonic() + _WAIT_S
    while time.monotonic() < give_up:
        closed_ns = await ask_closed(options, place, ident)
        if closed_ns is not None:
            seen_ms = (closed_ns - offset.offset_ns - left_ns) / 1e6
            return Leaving(when, max(0.0, round(seen_ms, 3)), _WAIT_S * 1000)
        await asyncio.sleep(_ASK_EVERY_S)
    return Leaving(when, None, _WAIT_S * 1000)


async def _read_and_leave(options: CheckOptions, request: Request) -> tuple[str, int]:
    """Read for a second, then close as a browser tab does; the exchange's name, and when."""
    config = patient(options.client, _READ_S + _WAIT_S)
    async with await open_stream(request, config) as stream:
        head = parse_head(stream.head.get(HEADER) or "")
        if head is None:
            raise UsageError("--cancel needs a beacon: no Undam-Beacon header came back")
        try:
            async with asyncio.timeout(_READ_S):
                async for _ in stream:
                    pass
        except TimeoutError:
            pass
        left_ns = time.time_ns()
    return head.id, left_ns
