"""Measurement of a stream in the program that reads it: TTFT, gaps, stalls and heartbeats."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar, cast

from undam.apis import Kind, api_named
from undam.client.deltas import CONTENT, Usage
from undam.client.heartbeats import is_heartbeat
from undam.client.reading import ReadObserver
from undam.sse import Comment, Event
from undam.timing import quantile

Item = TypeVar("Item")

STALL_MS = 1000.0
"""Default minimum length of a stall. People read about four words per second. After one second
without text, they have caught up with the model and notice the pause."""


class _Observed(Protocol):
    def observed_by(self, observer: ReadObserver) -> None: ...


class Timing:
    """Times of one stream on the local clock, counted from the creation of this object.

    Create it just before the request is sent, and wrap the iterator of the events. The results are
    available at any time, including during the stream and after an error:

        timing = Timing()
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            timing.head()
            for event in timing.watch(undam.client.stream(response)):
                ...
        print(timing.summary())

    All events of one read get the time of that read. Only content counts for TTFT and gaps; role
    chunks, empty deltas and heartbeats do not.

    Args:
        stall_ms: minimum length of a stall, in ms.
        api: name of the API in undam.apis; not needed for deltas. The default recognizes OpenAI's
            chunks, and treats any other event with data as content.
        clock: function that returns monotonic time in nanoseconds.

    Attributes:
        heartbeats: number of comments and of events without content.
        events: number of events with content.
        reads: number of reads with content.
        most_per_read: maximum number of events in one read.
        output_tokens: token count sent by the server; ``None`` if it sent none.
    """

    def __init__(
        self,
        *,
        stall_ms: float = STALL_MS,
        api: str = "plain",
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.heartbeats = 0
        self.events = 0
        self.reads = 0
        self.most_per_read = 0
        self.output_tokens: int | None = None
        self._clock = clock
        self._api = api_named(api)
        self._stall_ms = stall_ms
        self._gaps: list[int] = []
        self._start_ns = clock()
        self._head_ns: int | None = None
        self._first_ns: int | None = None
        self._last_ns = self._start_ns
        self._end_ns: int | None = None

    def start(self) -> None:
        """Restart the clock. Needed if the object was created long before the request is sent."""
        self._start_ns = self._last_ns = self._clock()

    def head(self) -> None:
        """Record the arrival of the response head."""
        if self._head_ns is None:
            self._head_ns = self._clock()

    def read(self, items: Sequence[object]) -> None:
        """Record one read: its events, comments or deltas, or raw bytes."""
        contents = 0
        for item in items:
            if isinstance(item, Comment) or (isinstance(item, Event) and is_heartbeat(item)):
                self.heartbeats += 1
            elif isinstance(item, Usage):
                self._count(item.output_tokens)
            else:
                contents += self._is_content(item)
        if contents:
            self._note(contents)

    def end(self) -> None:
        """Record the end of the stream; `watch` calls this automatically."""
        if self._end_ns is None:
            self._end_ns = self._clock()

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield ``items`` unchanged and record their times; close ``items`` at the end.

        Args:
            items: events, deltas, or reads of bytes.
        """
        observed = self._observe(items)
        source = iter(items)
        try:
            for item in source:
                if not observed:
                    self.read([item])
                yield item
        finally:
            self.end()
            close = getattr(source, "close", None)
            if close is not None:
                close()

    async def awatch(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """Yield the items of an async iterator and record their times; see `watch`."""
        observed = self._observe(items)
        try:
            async for item in items:
                if not observed:
                    self.read([item])
                yield item
        finally:
            self.end()
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    @property
    def head_ms(self) -> float | None:
        """Time from the start to the response head; ``None`` if `head` was not called."""
        return self._since_start(self._head_ns)

    @property
    def ttft_ms(self) -> float | None:
        """Time from the start to the first content; ``None`` if no content has arrived."""
        return self._since_start(self._first_ns)

    @property
    def duration_ms(self) -> float:
        """Time from the start to the end, or to now if the stream has not ended."""
        return ((self._end_ns or self._clock()) - self._start_ns) / 1e6

    @property
    def gaps_ms(self) -> tuple[float, ...]:
        """Times between consecutive content events; 0 between events of the same read."""
        return tuple(gap / 1e6 for gap in self._gaps)

    @property
    def stalls_ms(self) -> tuple[float, ...]:
        """Gaps of at least ``stall_ms``."""
        return tuple(gap for gap in self.gaps_ms if gap >= self._stall_ms)

    @property
    def tokens_per_second(self) -> float | None:
        """Token rate between the first and the last content.

        If the server sent no token count, each event counts as one token.
        """
        if self._first_ns is None or self._last_ns == self._first_ns:
            return None
        # The first token marks the start of the interval, so it does not count.
        tokens = (self.output_tokens or self.events) - 1
        return tokens / ((self._last_ns - self._first_ns) / 1e9)

    def summary(self) -> dict[str, object]:
        """Return the results as a JSON object, in milliseconds rounded to microseconds."""
        gaps, stalls = sorted(self.gaps_ms), self.stalls_ms
        rate = self.tokens_per_second
        return {
            "head_ms": _rounded(self.head_ms),
            "ttft_ms": _rounded(self.ttft_ms),
            "duration_ms": _rounded(self.duration_ms),
            "itl_ms": None
            if not gaps
            else {
                "p50": _rounded(quantile(gaps, 0.5)),
                "p99": _rounded(quantile(gaps, 0.99)),
                "max": _rounded(gaps[-1]),
            },
            "events": self.events,
            "reads": self.reads,
            "most_per_read": self.most_per_read,
            "stalls": len(stalls),
            "longest_stall_ms": _rounded(max(stalls, default=None)),
            "heartbeats": self.heartbeats,
            "output_tokens": self.output_tokens,
            "tokens_per_second": None if rate is None else round(rate, 1),
        }

    def _observe(self, items: object) -> bool:
        if not hasattr(items, "observed_by"):
            return False
        cast("_Observed", items).observed_by(self)
        return True

    def _is_content(self, item: object) -> bool:
        if not isinstance(item, Event):
            return isinstance(item, CONTENT) or (isinstance(item, bytes) and bool(item))
        meaning = self._api.read(item.event, item.data)
        self._count(meaning.tokens)
        return meaning.kind is Kind.CONTENT

    def _count(self, tokens: int | None) -> None:
        if tokens is not None:
            self.output_tokens = tokens

    def _note(self, contents: int) -> None:
        now = self._clock()
        if self._first_ns is None:
            self._first_ns = now
        else:
            self._gaps.append(now - self._last_ns)
        self._gaps += [0] * (contents - 1)
        self._last_ns = now
        self.events += contents
        self.reads += 1
        self.most_per_read = max(self.most_per_read, contents)

    def _since_start(self, at_ns: int | None) -> float | None:
        return None if at_ns is None else (at_ns - self._start_ns) / 1e6


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
