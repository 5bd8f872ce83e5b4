"""Access to an upstream: an SDK stream, an HTTP response, or an iterable of bytes or objects.

Libraries are recognized by the attributes of their objects, so none is imported here.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from undam.asgi.response.refusal import UpstreamRefused, error_body
from undam.asgi.response.source import check_source, close_source, open_source
from undam.errors import UsageError

_MAX_ERROR_BYTES = 65536
_EVENT_STREAM = "text/event-stream"
_NO_STREAM = "The upstream's response is not an event stream."
# Some gateways send event streams with one of these types, which describe no format.
_UNSPECIFIC = frozenset({"text/plain", "application/octet-stream", "binary/octet-stream"})
_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")


async def opened(upstream: Any, resources: AsyncExitStack) -> AsyncIterator[Any]:
    """Return an iterator over the bytes or objects of ``upstream``.

    A function is called, an awaitable is awaited, and a context manager is entered first. If an SDK
    exposes its unread HTTP response, the bytes are read from that, so that nothing is lost.

    Raises:
        UpstreamRefused: the response has an error status or is not an event stream.
        UsageError: ``upstream`` is a single answer or another object that is not a stream.
    """
    if callable(upstream) and not isinstance(upstream, AsyncIterable | Iterable):
        upstream = upstream()
    if inspect.isawaitable(upstream):
        upstream = await upstream
    if not isinstance(upstream, AsyncIterable | Iterable) and _response_of(upstream) is None:
        upstream = await _entered(upstream, resources)
    response = _response_of(upstream)
    resources.push_async_callback(_close, upstream)
    if response is None:
        if _is_httpx(upstream) or _is_requests(upstream):
            raise UsageError("the upstream's response was read before it was passed to relay")
        check_source(upstream)
        return open_source(upstream)
    if response is not upstream:
        resources.push_async_callback(_close, response)
    return await _checked_reads(response)


async def discard(upstream: Any) -> None:
    """Close an upstream from which nothing was read."""
    if inspect.iscoroutine(upstream):
        upstream.close()
    else:
        await _close(_response_of(upstream) or upstream)


async def _entered(manager: Any, resources: AsyncExitStack) -> Any:
    if hasattr(manager, "__aenter__"):
        return await resources.enter_async_context(manager)
    if hasattr(manager, "__enter__"):
        value = await asyncio.to_thread(manager.__enter__)
        resources.push(manager.__exit__)
        return value
    return manager


def _response_of(upstream: Any) -> Any:
    """Return the unread HTTP response of ``upstream``; ``None`` if there is none."""
    candidates = [upstream]
    candidates += [getattr(upstream, name, None) for name in ("response", "http_response")]
    for one in candidates:
        if _is_httpx(one) and not one.is_stream_consumed:
            return one
        if _is_requests(one):
            return None if one._content_consumed else one
        if _is_aiohttp(one):
            return one
    return None


def _is_requests(thing: Any) -> bool:
    return hasattr(thing, "_content_consumed") and hasattr(thing, "iter_content")


def _is_httpx(thing: Any) -> bool:
    return hasattr(thing, "aiter_bytes") and hasattr(thing, "is_stream_consumed")


def _is_aiohttp(thing: Any) -> bool:
    # If `content` is accessed before the response is read, httpx raises an exception, and requests
    # reads the whole response.
    if _is_httpx(thing) or _is_requests(thing):
        return False
    return hasattr(getattr(thing, "content", None), "iter_any") and hasattr(thing, "status")


def _reads(response: Any) -> AsyncIterator[bytes]:
    if _is_aiohttp(response):
        return aiter(response.content.iter_any())
    if _is_requests(response):
        return open_source(_requests_reads(response))
    if hasattr(response.stream, "__aiter__"):
        return aiter(response.aiter_bytes())
    return open_source(response.iter_bytes())


def _requests_reads(response: Any) -> Iterator[bytes]:
    if response.raw.chunked:
        yield from response.iter_content(None)
        return
    # iter_content() would wait for the end of a response without chunks.
    while data := response.raw.read1(_MAX_ERROR_BYTES, decode_content=True):
        yield data


async def _checked_reads(response: Any) -> AsyncIterator[bytes]:
    """Return an iterator over the body of ``response``.

    Raises:
        UpstreamRefused: the status is not 2xx, or the body is not an event stream.
    """
    status = response.status if _is_aiohttp(response) else response.status_code
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    reads = _reads(response)
    if 200 <= status < 300 and kind in {_EVENT_STREAM, ""}:
        return reads
    body = b""
    async for data in reads:
        body += data
        if 200 <= status < 300 and kind in _UNSPECIFIC and _FIRST_FIELD.match(body):
            return _preceded(body, reads)
        if len(body) > _MAX_ERROR_BYTES:
            break
    headers = [(str(name), str(value)) for name, value in response.headers.items()]
    if 400 <= status < 600:
        message = f"the upstream answered with status {status}"
        raise UpstreamRefused(message, status, headers, body)
    what = kind or "no content type"
    message = f"the upstream answered {status} with {what} instead of an event stream"
    raise UpstreamRefused(message, 502, body=error_body(_NO_STREAM, "upstream_error"))


async def _preceded(first: bytes, reads: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for data in reads:
        yield data


async def _close(thing: Any) -> None:
    """Close a response, an SDK stream or an iterator. A blocking close runs in a thread."""
    if _is_httpx(thing):
        is_async = hasattr(thing.stream, "__aiter__")
        await (thing.aclose() if is_async else asyncio.to_thread(thing.close))
    elif hasattr(thing, "aclose"):
        await close_source(thing)
    elif inspect.iscoroutinefunction(close := getattr(thing, "close", None)):
        await close()
    elif callable(close) and not inspect.isgenerator(thing):
        # The thread that runs a plain generator also closes it.
        await asyncio.to_thread(close)
