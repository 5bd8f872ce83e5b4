"""Measurement of the time to first token for many concurrent readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from undam.apis import Kind, api_for_path
from undam.errors import UndamError
from undam.sse import Event, Parser
from undam.timing import quantile
from undam.wire import ClientConfig, Request, open_stream


@dataclass(frozen=True, slots=True)
class FirstTokenTimes:
    """Times to first token of all readers.

    Args:
        ttft_ms: one value per reader, ascending.
        failed: number of readers that received no token.
    """

    ttft_ms: tuple[float, ...]
    failed: int

    def quantile(self, q: float) -> float:
        """Return the nearest-rank quantile. With fewer than 100 readers, the p99 is the maximum."""
        return quantile(self.ttft_ms, q)


async def read_together(
    requests: Sequence[Request],
    *,
    spread_s: float,
    timeout_s: float,
    ended: Callable[[], None],
) -> FirstTokenTimes:
    """Read all streams to the end, and return the times to first token.

    Args:
        spread_s: period over which the starts are evenly spread.
        ended: called whenever a stream ends.
    """
    config = ClientConfig(timeout_s=timeout_s)

    async def one(index: int, request: Request) -> float | None:
        await asyncio.sleep(spread_s * index / len(requests))
        try:
            return await _first_token_ms(request, config)
        except UndamError:
            return None
        finally:
            ended()

    times = await asyncio.gather(*(one(i, request) for i, request in enumerate(requests)))
    known = sorted(time for time in times if time is not None)
    return FirstTokenTimes(tuple(known), len(times) - len(known))


async def _first_token_ms(request: Request, config: ClientConfig) -> float | None:
    api = api_for_path(request.url.partition("?")[0])
    parser = Parser()
    first_ns: int | None = None
    async with await open_stream(request, config) as stream:
        sent_ns = stream.stamps.sent_ns or stream.stamps.start_ns
        async for arrival in stream:
            if first_ns is not None:
                continue
            for item in parser.receive_data(arrival.data):
                if isinstance(item, Event) and api.read(item.event, item.data).kind is Kind.CONTENT:
                    first_ns = arrival.at_ns
                    break
    return None if first_ns is None else (first_ns - sent_ns) / 1e6
