"""Unbuffered reading of the responses of all supported HTTP clients.

The library is identified by the module of the response's type, so no library is imported here.
bench/client_reading.py compares these methods with the usual ones.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal, overload

from undam.client.body_form import BodyForm, form_for
from undam.client.reading import MAX_EVENT_BYTES, AsyncEvents, Events
from undam.errors import ResponseError, UsageError
from undam.record import redact_url
from undam.sse import Comment, Event

# Maximum size of one read. A read returns as soon as any data is available.
_READ_BYTES = 65536

_READ_BEFORE = "the body of the response has already been read: open it with {how}"


@overload
def stream(
    response: object, *, comments: Literal[False] = ..., max_event_bytes: int = ...
) -> Events[Event]: ...
@overload
def stream(
    response: object, *, comments: bool, max_event_bytes: int = ...
) -> Events[Event | Comment]: ...
def stream(
    response: object, *, comments: bool = False, max_event_bytes: int = MAX_EVENT_BYTES
) -> Events[Event] | Events[Event | Comment]:
    """Return an iterator over the events of a response; see `events`.

    The caller must close the response. Exceptions of the library are passed through, for instance
    when the connection breaks.

    JSON lines (NDJSON) are returned as one event per line. A body of another type is accepted only
    if it begins like an event stream.

    Args:
        response: a streaming response of httpx, httpx2, requests, urllib3 or niquests.
        comments: also return comments, which servers send as heartbeats.
        max_event_bytes: maximum size of one event.

    Raises:
        UsageError: the response was not opened for streaming, its body has already been read, or
            its library is not supported.
        ResponseError: the status is not 2xx; or, on iteration, the body is a page, an error or
            another document instead of a stream. The message quotes its beginning.
    """
    reads = reads_of(response)
    return Events(reads, _form(response, max_event_bytes), comments=comments)


@overload
def astream(
    response: object, *, comments: Literal[False] = ..., max_event_bytes: int = ...
) -> AsyncEvents[Event]: ...
@overload
def astream(
    response: object, *, comments: bool, max_event_bytes: int = ...
) -> AsyncEvents[Event | Comment]: ...
def astream(
    response: object, *, comments: bool = False, max_event_bytes: int = MAX_EVENT_BYTES
) -> AsyncEvents[Event] | AsyncEvents[Event | Comment]:
    """Return an async iterator over the events of an httpx, httpx2, aiohttp or niquests response.

    The other arguments and the exceptions are the same as for `stream`.
    """
    reads = areads_of(response)
    return AsyncEvents(reads, _form(response, max_event_bytes), comments=comments)


def library_of(thing: object, known: tuple[str, ...]) -> str | None:
    """Return the library that defines the type of ``thing`` or one of its base classes."""
    for kind in type(thing).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in known:
            return root
    return None


def reads_of(response: object) -> Iterator[bytes]:
    """Return an iterator over the decoded body of a response, read by read.

    Raises:
        UsageError, ResponseError: as for `stream`.
    """
    library = library_of(response, tuple(_SYNC))
    if library is None:
        other = library_of(response, tuple(_ASYNC))
        hint = f"; read it with astream(), as {other} is asynchronous" if other else ""
        raise UsageError(f"stream() does not support this response: {type(response)!r}{hint}")
    # Check the status first. For an error or a redirect, a library or a hook may have read the
    # body.
    _check_status(response)
    return _SYNC[library](response)


def areads_of(response: object) -> AsyncIterator[bytes]:
    """Return an async iterator over the decoded body of a response, read by read.

    Raises:
        UsageError, ResponseError: as for `stream`.
    """
    library = library_of(response, tuple(_ASYNC))
    if library is None:
        other = library_of(response, tuple(_SYNC))
        hint = f"; read it with stream(), as {other} is not asynchronous" if other else ""
        raise UsageError(f"astream() does not support this response: {type(response)!r}{hint}")
    _check_status(response)
    return _ASYNC[library](response)


def _check_status(response: Any) -> None:
    status = _status(response)
    if status is not None and not 200 <= status < 300:
        target = response.headers.get("location") if 300 <= status < 400 else None
        redirect = f" (a redirect to {redact_url(str(target))})" if target else ""
        raise ResponseError(f"the server answered {status}{redirect}, which is not an event stream")


def _status(response: Any) -> int | None:
    status = getattr(response, "status_code", None) or getattr(response, "status", None)
    return status if isinstance(status, int) else None


def _form(response: Any, max_event_bytes: int) -> BodyForm:
    kind = str(response.headers.get("content-type") or "")
    return form_for(kind, f"the server answered {_status(response)}", max_event_bytes)


def _httpx(response: Any) -> Iterator[bytes]:
    _check_httpx(response, "client.stream(…)", asynchronous=False)
    # With a chunk size, httpx would collect that many bytes before it returns any.
    reads: Iterator[bytes] = response.iter_bytes()
    return reads


def _ahttpx(response: Any) -> AsyncIterator[bytes]:
    _check_httpx(response, "async with client.stream(…)", asynchronous=True)
    reads: AsyncIterator[bytes] = response.aiter_bytes()
    return reads


def _check_httpx(response: Any, how: str, *, asynchronous: bool) -> None:
    if response.is_stream_consumed or response.is_closed:
        raise UsageError(_READ_BEFORE.format(how=how))
    if not hasattr(response.stream, "__aiter__" if asynchronous else "__iter__"):
        right = "stream() reads it" if asynchronous else "astream() reads it"
        raise UsageError(f"this response is {'not ' if asynchronous else ''}asynchronous: {right}")


def _requests(response: Any) -> Iterator[bytes]:
    if response._content_consumed or response._content is not False:
        raise UsageError(_READ_BEFORE.format(how="requests.get(…, stream=True)"))
    _check_urllib3(response.raw)
    return _requests_reads(response)


def _requests_reads(response: Any) -> Iterator[bytes]:
    # iter_content() waits for a full chunk or, with chunk_size=None, for the end of a body that is
    # not chunked. So the raw body is read instead, and errors are raised as iter_content() raises
    # them.
    raised = sys.modules["requests"].exceptions
    kinds = sys.modules["urllib3"].exceptions
    try:
        yield from _urllib3_reads(response.raw)
    except kinds.ProtocolError as error:
        raise raised.ChunkedEncodingError(error) from error
    except kinds.DecodeError as error:
        raise raised.ContentDecodingError(error) from error
    except kinds.ReadTimeoutError as error:
        raise raised.ConnectionError(error) from error
    except kinds.SSLError as error:
        raise raised.SSLError(error) from error
    response._content_consumed = True


def _urllib3(response: Any) -> Iterator[bytes]:
    _check_urllib3(response)
    if response._body is not None or response.tell():
        how = "urllib3.request(…, preload_content=False)"
        raise UsageError(_READ_BEFORE.format(how=how))
    return _urllib3_reads(response)


def _check_urllib3(raw: Any) -> None:
    if not hasattr(raw, "read1"):
        raise UsageError(
            "this version of urllib3 cannot read available data without waiting for more: "
            "pip install 'urllib3>=2.1'"
        )


def _urllib3_reads(raw: Any) -> Iterator[bytes]:
    # stream() and read() wait for the requested size; read1() returns the available data.
    while data := raw.read1(_READ_BYTES, decode_content=True):
        yield data


def _niquests(response: Any) -> Iterator[bytes]:
    _check_niquests(response)
    reads: Iterator[bytes] = response.iter_content(-1)
    return reads


def _aniquests(response: Any) -> AsyncIterator[bytes]:
    _check_niquests(response)
    return _aniquests_reads(response)


async def _aniquests_reads(response: Any) -> AsyncIterator[bytes]:
    async for data in await response.iter_content(-1):
        yield data


def _check_niquests(response: Any) -> None:
    if response._content_consumed or response._content is not False:
        raise UsageError(_READ_BEFORE.format(how="session.get(…, stream=True)"))


def _aiohttp(response: Any) -> AsyncIterator[bytes]:
    # A closed response is accepted, because a short body may have arrived completely before it is
    # read.
    if response._body is not None:
        how = "async with session.get(…), and do not call read() or text()"
        raise UsageError(_READ_BEFORE.format(how=how))
    # Only iter_any() is documented to return data without waiting for more.
    reads: AsyncIterator[bytes] = response.content.iter_any()
    return reads


_SYNC: dict[str, Callable[[Any], Iterator[bytes]]] = {
    "httpx": _httpx,
    "httpx2": _httpx,
    "requests": _requests,
    "urllib3": _urllib3,
    "niquests": _niquests,
}
_ASYNC: dict[str, Callable[[Any], AsyncIterator[bytes]]] = {
    "httpx": _ahttpx,
    "httpx2": _ahttpx,
    "aiohttp": _aiohttp,
    "niquests": _aniquests,
}
