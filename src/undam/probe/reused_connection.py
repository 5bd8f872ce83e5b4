"""Repetition of the request on the first connection, as clients with connection pools send it."""

from __future__ import annotations

from dataclasses import dataclass

from undam.diagnosis.findings.reuse import is_decided, reuse_delay_ns
from undam.errors import UndamError
from undam.probe.fetch import finished, with_timeout
from undam.record import Exchange
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream
from undam.wire.client import open_again

# If an answer takes longer than this to begin, a delay of 40 ms cannot be recognised.
_LONGEST_WAIT_NS = 2_000_000_000
_LIMIT_S = 10.0


@dataclass(slots=True)
class ReuseTrial:
    """Connection-reuse trial at one place; ``delay_ns`` is set if the delay occurred twice."""

    delay_ns: int | None = None
    done: bool = False

    async def run(
        self, stream: Stream, fresh: Exchange, request: Request, config: ClientConfig
    ) -> None:
        """Repeat ``request`` on the same connection, and once more if its first events are late.

        Args:
            stream: the stream of ``fresh``, read to its end. Its connection is used.
        """
        if self.done or _wait_ns(fresh) > _LONGEST_WAIT_NS:
            return
        self.done = True
        first = await self._again(stream, fresh, request, config)
        if first is None:
            return
        stream, delay_ns = first
        second = await self._again(stream, fresh, request, config) if delay_ns else None
        await stream.aclose()
        if second is not None:
            await second[0].aclose()
            self.delay_ns = second[1] and min(second[1], delay_ns or 0)

    async def _again(
        self, before: Stream, fresh: Exchange, request: Request, config: ClientConfig
    ) -> tuple[Stream, int | None] | None:
        """Return the repeated stream and its delay; only a delayed stream is read to its end.

        Returns:
            ``None`` if the connection cannot be reused, or the server closed it.
        """
        channel = before.detach()
        if channel is None:
            return None
        try:
            stream = await open_again(channel, request, with_timeout(config, _LIMIT_S))
        except UndamError:
            return None
        arrivals: list[Arrival] = []
        async for arrival in stream:
            arrivals.append(arrival)
            partial = finished(stream, tuple(arrivals), hop=fresh.hop, api=fresh.api)
            if is_decided(partial) and reuse_delay_ns(fresh, partial) is None:
                break
        whole = finished(stream, tuple(arrivals), hop=fresh.hop, api=fresh.api)
        return stream, reuse_delay_ns(fresh, whole)


def _wait_ns(exchange: Exchange) -> int:
    sent_ns = exchange.stamps.sent_ns or exchange.stamps.start_ns
    return exchange.arrivals[0].at_ns - sent_ns if exchange.arrivals else _LONGEST_WAIT_NS + 1
