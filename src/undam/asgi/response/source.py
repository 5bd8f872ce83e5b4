"""Conversion of every supported source type to an async iterator."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from undam.asgi.response.items import AnySource
from undam.asgi.response.threaded_iterator import ThreadedIterator
from undam.errors import UsageError
from undam.sse import Event

log = logging.getLogger("undam.asgi")


def check_source(source: object) -> None:
    """Reject an unusable source when the stream is created, not only when it is served.

    Raises:
        UsageError: the source is a string, a single event, model or message, an awaitable or a
            context manager, or is not iterable.
    """
    # pydantic's models are iterable: they yield their fields.
    is_model = hasattr(type(source), "model_dump")
    if is_model or isinstance(source, str | bytes | bytearray | memoryview | Mapping | Event):
        raise UsageError(
            f"source is a single {type(source).__name__}, not an iterable; put it in a list, or "
            "request a stream"
        )
    if inspect.isawaitable(source):
        if inspect.iscoroutine(source):
            source.close()
        kind = "a coroutine" if inspect.iscoroutine(source) else f"an awaitable {_name(source)}"
        raise UsageError(f"source is {kind}; pass an async generator, or await it first")
    if isinstance(source, AsyncIterable | Iterable):
        return
    # The context managers of contextlib can be called, because they are decorators, too.
    if hasattr(source, "__aenter__") or hasattr(source, "__enter__"):
        raise UsageError(
            f"source is the context manager {_name(source)}; enter it in an async generator, and "
            "pass that, or use undam.asgi.relay"
        )
    if not callable(source):
        raise UsageError(f"source is a {_name(source)}, which is not iterable")


def _name(source: object) -> str:
    return type(source).__name__


def is_iterator(source: object) -> bool:
    """Return whether ``source`` is an iterator, which can serve only one request."""
    return hasattr(source, "__anext__") or hasattr(source, "__next__")


def open_source(source: AnySource) -> AsyncIterator[Any]:
    """Return an iterator over the items of ``source``, for one request.

    An iterable does not run before its first item is awaited. A function is called immediately.

    Raises:
        UsageError: ``source`` is a function whose result is not a valid source.
    """
    if callable(source) and not isinstance(source, AsyncIterable | Iterable):
        source = source()
        check_source(source)
    if isinstance(source, AsyncIterable):
        return source.__aiter__()
    if isinstance(source, list | tuple):
        # All items already exist, so iteration cannot block the event loop.
        return _iterate(source)
    assert isinstance(source, Iterable)
    return ThreadedIterator(source)


async def _iterate(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def close_source(items: object) -> None:
    """Close a plain or async iterator, even if it is not exhausted.

    An exception from it is only logged, because the stream has ended and its reason is known.
    """
    try:
        if (aclose := getattr(items, "aclose", None)) is not None:
            await aclose()
        elif (close := getattr(items, "close", None)) is not None and hasattr(items, "__next__"):
            close()
    except Exception:
        log.exception("the source of an event stream failed while it was closed")
