"""One response as it arrives: its head, then an arrival a read, then how it ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from undam.errors import NetworkError
from undam.record import Ending, Head, Stamps
from undam.timing import Arrival
from undam.wire.channel import Channel
from undam.wire.connect import describe
from undam.wire.reception import Reception


class ExpiredError(OSError):
    """The time limit of the exchange has passed; raised by the channel, never shown."""


def clock_offset_ns() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC: it changes only when the clock is set."""
    return time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an exchange must be over, on the event loop's clock, and the limit it came from."""

    timeout_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a response came about; ``offset_ns`` is of the exchange's start."""

    url: str
    redirects: tuple[str, ...]
    proxy: str | None
    stamps: Stamps
    deadline: Deadline
    offset_ns: int


class Stream:
    """A response whose head is in: an async context manager and an async iterator of arrivals.

    What the peer does wrong in the body is never raised; it becomes ``ending`` and ``error``, which
    are set when iteration ends. Waiting for an arrival may be cancelled without loss; leaving the
    context closes the connection. Iteration is for one task at a time.

    Attributes:
        url: the final URL, without credentials.
        redirects: the URLs that led to it.
        head: of the final response.
        stamps: of the final exchange; ``start_ns`` is after the redirects.
        proxy: the proxy in use without its credentials, with the variable that named it.
        tls: for instance "TLSv1.3".
        framing: how the body's end is told: "chunked", "length", "close" or "none" (no body).
        interim: how many 1xx heads came first.
        ending, ended_ns, error: as in undam.record.Exchange; ``None`` until iteration ends.
        step_ns: how far CLOCK_REALTIME moved against CLOCK_MONOTONIC; 0 until iteration ends.
    """

    def __init__(
        self, channel: Channel, reception: Reception, way: Way, *, first: Arrival | None
    ) -> None:
        assert reception.head is not None
        self.url = way.url
        self.redirects = way.redirects
        self.head: Head = reception.head
        self.stamps = way.stamps
        self.proxy = way.proxy
        self.tls = channel.tls
        self.framing = reception.framing
        self.interim = reception.interim
        self.ending: Ending | None = None
        self.ended_ns: int | None = None
        self.error: str | None = None
        self.step_ns = 0
        self._channel = channel
        self._reception = reception
        self._first = first
        self._way = way
        self._closed = False
        self._timer = asyncio.get_running_loop().call_at(way.deadline.at, self._expire)

    @property
    def clock(self) -> str:
        """The kernel's stamps, or "user" if any read lacked one."""
        return self._reception.clock

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Fields that came after a chunked body."""
        return self._reception.trailers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Arrival:
        first, self._first = self._first, None
        while first is None:
            if self._closed or self._reception.ending is not None:
                self._settle()
                raise StopAsyncIteration
            first = await self._next()
        return first

    async def aclose(self, *, abort: bool = False) -> None:
        """Close the connection; ``abort`` resets it. May be called again."""
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            self._channel.close(abort=abort)

    async def _next(self) -> Arrival | None:
        try:
            read = await self._channel.read()
        except ExpiredError:
            limit = (
                f"the stream was still open after {self._way.deadline.timeout_s:g} s (--timeout)"
            )
            self._reception.end(Ending.TIMEOUT, time.time_ns(), limit)
        except NetworkError as error:
            self._reception.end(Ending.BROKEN, time.time_ns(), str(error))
        except OSError as error:
            if not self._closed:
                self._reception.end(Ending.RESET, time.time_ns(), describe(error))
        else:
            if read.data:
                return self._reception.receive(read)
            self._reception.receive_eof(read.at_ns, orderly=self._channel.orderly)
        return None

    def _settle(self) -> None:
        if self.ending is None:
            self.ending = self._reception.ending
            self.ended_ns = self._reception.ended_ns
            self.error = self._reception.error
            self.step_ns = clock_offset_ns() - self._way.offset_ns
            self._timer.cancel()

    def _expire(self) -> None:
        self._channel.fail(ExpiredError())
