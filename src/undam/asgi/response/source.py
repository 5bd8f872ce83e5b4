"""Sources: what a stream's items come from, all brought into one shape, an async iterator."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from undam.asgi.response.threaded_iterator import ThreadedIterator
from undam.errors import UsageError
from undam.sse import Event

log = logging.getLogger("undam.asgi")

Item = str | bytes | Mapping[str, Any] | Event | object
Items = AsyncIterable[Any] | Iterable[Any]
Source = Items | Callable[[], Items]


def check_source(source: object) -> None:
    """Refuse, when the stream is made, what could only fail when it is served.

    Raises:
        UsageError: it is text, one event or a coroutine, or cannot be iterated.
    """
    if isinstance(source, str | bytes | bytearray | memoryview | Mapping | Event):
        raise UsageError(
            f"source is one {type(source).__name__}, not an iterator of them; put it in a list"
        )
    if inspect.iscoroutine(source):
        source.close()
        raise UsageError("source is a coroutine; give an async generator, or await it first")
    if not (isinstance(source, AsyncIterable | Iterable) or callable(source)):
        raise UsageError(f"source is a {type(source).__name__}, which cannot be iterated")


def is_used_up_by_one(source: object) -> bool:
    """Tell whether it is an iterator, which a second request would find at its end."""
    return hasattr(source, "__anext__") or hasattr(source, "__next__")


def open_source(source: Source) -> AsyncIterator[Any]:
    """The items of one request. Nothing of ``source`` runs before the first is awaited.

    Raises:
        UsageError: ``source`` is a function and what it returned cannot be used.
    """
    if callable(source) and not isinstance(source, AsyncIterable | Iterable):
        source = source()
        check_source(source)
    if isinstance(source, AsyncIterable):
        return source.__aiter__()
    if isinstance(source, list | tuple):
        # They are there already: no step of theirs can block the loop.
        return _turn_events(source)
    assert isinstance(source, Iterable)
    return ThreadedIterator(source)


async def _turn_events(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def close_source(items: object) -> None:
    """Close an iterator, plain or not, that may have been left before its end.

    What it raises is logged: the stream is over, and has its reason already.
    """
    try:
        if (aclose := getattr(items, "aclose", None)) is not None:
            await aclose()
        elif (close := getattr(items, "close", None)) is not None and hasattr(items, "__next__"):
            close()
    except Exception:
        log.exception("the source of an event stream failed while it was closed")
