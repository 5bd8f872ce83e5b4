"""A response as a stream: its head, one arrival per read, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from undam.errors import NetworkError
from undam.record import Ending, Head, Http2Facts, Stamps
from undam.timing import Arrival
from undam.wire.channel import Channel
from undam.wire.connect import describe
from undam.wire.response_reader import ResponseReader


class DeadlineExpiredError(OSError):
    """The time limit for the exchange was reached. Only code in this module receives this error."""


def clock_offset_ns() -> int:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC, which changes only when the clock is set."""
    return time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Deadline:
    """Deadline for an exchange in event-loop time, and the timeout from which it was calculated."""

    timeout_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeInfo:
    """Information on an exchange up to its response head.

    Args:
        offset_ns: `clock_offset_ns` at the start of the exchange.
    """

    url: str
    redirects: tuple[str, ...]
    proxy: str | None
    stamps: Stamps
    deadline: Deadline
    offset_ns: int


class Stream:
    """Response with a complete head: async context manager, and async iterator over arrivals.

    A fault in the body is never raised. It is recorded in ``ending`` and ``error``, which are set
    when iteration ends. No data is lost if a wait for an arrival is cancelled. Leaving the context
    closes the connection. Only one task may iterate at a time.

    Attributes:
        url: the final URL, without credentials.
        redirects: the URLs that were redirected to it, in order.
        head: head of the final response.
        stamps: times of the final exchange; ``start_ns`` is after the redirects.
        proxy: the proxy in use, without credentials, and the variable that set it.
        tls: TLS version, for instance "TLSv1.3"; ``None`` without TLS.
        tls_issuer: issuer of the server's certificate; ``None`` without TLS.
        tls_expires_s: Unix time at which that certificate expires; ``None`` without TLS.
        framing: marking of the end of the body: "chunked", "length", "close", "frames" (HTTP/2)
            or "none" (no body).
        interim: number of interim (1xx) responses before the final one.
        ending, ended_ns, error: as in undam.record.Exchange; ``None`` until iteration ends.
        step_ns: change of CLOCK_REALTIME relative to CLOCK_MONOTONIC; 0 until iteration ends.
    """

    def __init__(
        self,
        channel: Channel,
        reader: ResponseReader,
        info: ExchangeInfo,
        *,
        first: Arrival | None,
    ) -> None:
        assert reader.head is not None
        self.url = info.url
        self.redirects = info.redirects
        self.head: Head = reader.head
        self.stamps = info.stamps
        self.proxy = info.proxy
        self.tls = channel.tls
        self.tls_issuer = channel.tls_issuer
        self.tls_expires_s = channel.tls_expires_s
        self.framing = reader.framing
        self.interim = reader.interim
        self.ending: Ending | None = None
        self.ended_ns: int | None = None
        self.error: str | None = None
        self.step_ns = 0
        self._channel = channel
        self._reader = reader
        self._first = first
        self._info = info
        self._closed = False
        self._timer = asyncio.get_running_loop().call_at(info.deadline.at, self._expire)

    @property
    def clock(self) -> str:
        """Source of the timestamps: "kernel", or "user" if any read had no kernel timestamp."""
        return self._reader.clock

    @property
    def http2(self) -> Http2Facts | None:
        """Observations on the HTTP/2 connection; ``None`` for HTTP/1.1."""
        return self._reader.http2

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Trailer fields after a chunked body."""
        return self._reader.trailers

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
            if self._closed or self._reader.ending is not None:
                self._settle()
                raise StopAsyncIteration
            first = await self._next()
        return first

    def detach(self) -> Channel | None:
        """Return the connection if it can be reused for another request; the caller must close it.

        The body must have been read to its end.
        """
        if self._closed or not self._reader.is_reusable:
            return None
        self._closed = True
        self._timer.cancel()
        return self._channel

    async def aclose(self, *, abort: bool = False) -> None:
        """Close the connection; ``abort`` resets it. Further calls have no effect."""
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            self._channel.close(abort=abort)

    async def _next(self) -> Arrival | None:
        try:
            read = await self._channel.read()
        except DeadlineExpiredError:
            limit = (
                f"the stream was still open after {self._info.deadline.timeout_s:g} s (--timeout)"
            )
            self._reader.end(Ending.TIMEOUT, time.time_ns(), limit)
        except NetworkError as error:
            self._reader.end(Ending.BROKEN, time.time_ns(), str(error))
        except OSError as error:
            if not self._closed:
                self._reader.end(Ending.RESET, time.time_ns(), describe(error))
        else:
            if read.data:
                arrival = self._reader.receive(read)
                if data := self._reader.to_send():
                    # If sending fails, a later read raises the error.
                    with contextlib.suppress(OSError):
                        await self._channel.send(data)
                    self._reader.sent(time.time_ns())
                return arrival
            self._reader.receive_eof(read.at_ns, clean=self._channel.clean)
        return None

    def _settle(self) -> None:
        if self.ending is None:
            self.ending = self._reader.ending
            self.ended_ns = self._reader.ended_ns
            self.error = self._reader.error
            self.step_ns = clock_offset_ns() - self._info.offset_ns
            self._timer.cancel()

    def _expire(self) -> None:
        self._channel.fail(DeadlineExpiredError())
