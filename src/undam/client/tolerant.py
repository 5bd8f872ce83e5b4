"""HTTP client wrapper that removes heartbeats, so that a library reads only API events.

Many libraries fail on a heartbeat that their own server does not send. Comments, empty events,
retry fields, pings and a byte order mark are removed from event streams, and blank lines from JSON
lines. Other responses are passed through unchanged, and no library is patched.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, Protocol

from undam.client.body_form import JSON_LINES
from undam.client.chat_session import LIBRARIES
from undam.client.heartbeats import is_heartbeat
from undam.client.reading import MAX_EVENT_BYTES
from undam.client.responses import library_of
from undam.errors import UsageError
from undam.sse import Event, LineParser, Parser, encode_event

# Headers that describe the body on the wire. They do not apply to the body that is passed on, which
# is decoded and shorter.
_WIRE_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


def tolerant(http_client: Any, *, keep_ids: bool = False) -> Any:
    """Return an httpx or httpx2 client that removes heartbeats from streams.

    It sends its requests through ``http_client``, and is asynchronous if ``http_client`` is. Pass
    it to libraries that accept an HTTP client; `undam.client.sdks` does that for the common ones.

    Args:
        keep_ids: keep the event IDs, for a library that resumes with ``Last-Event-ID``. By default
            they are removed, because openai-python treats a blank line after an ID as an event.

    Raises:
        UsageError: ``http_client`` is not a client of httpx or httpx2.
    """
    name = library_of(http_client, LIBRARIES)
    if name is None:
        raise UsageError(
            f"tolerant() requires an httpx or httpx2 client, not {type(http_client)!r}"
        )
    library = sys.modules[name]
    asynchronous = isinstance(http_client, library.AsyncClient)
    transport = _async_transport(library) if asynchronous else _transport(library)
    kind = library.AsyncClient if asynchronous else library.Client
    return kind(
        transport=transport(http_client, keep_ids),
        base_url=http_client.base_url,
        headers=http_client.headers,
        cookies=http_client.cookies,
        params=http_client.params,
        timeout=http_client.timeout,
        follow_redirects=http_client.follow_redirects,
        trust_env=False,  # the inner client applies the proxy settings
    )


class BodyFilter(Protocol):
    """Filter for the body of one response."""

    def receive_data(self, data: bytes) -> bytes:
        """Return the bytes to pass on."""
        ...

    def receive_eof(self) -> bytes:
        """Return the bytes to pass on at the end of the body."""
        ...


class HeartbeatFilter:
    """Filter for event streams that passes on API events and drops everything else."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, keep_ids: bool = False) -> None:
        self._parser = Parser(max_event_bytes=max_event_bytes)
        self._keep_ids = keep_ids
        self._id = ""

    def receive_data(self, data: bytes) -> bytes:
        """Return the events that ``data`` completes, re-encoded; empty if there are none.

        Raises:
            RemoteProtocolError: an event is larger than the limit.
        """
        return b"".join(
            self._encoded(item)
            for item in self._parser.receive_data(data)
            if isinstance(item, Event) and not is_heartbeat(item)
        )

    def receive_eof(self) -> bytes:
        """Return the unfinished event at the end unchanged, unless it is a heartbeat.

        Some libraries, such as google-genai, read an event whose blank line is missing.
        """
        rest = self._parser.pending
        items = self._parser.receive_data(b"\n\n") if rest else []
        events = [item for item in items if isinstance(item, Event)]
        if not events or is_heartbeat(events[0]):
            return b""
        return rest

    def _encoded(self, event: Event) -> bytes:
        # An event without its own ID has the previous event's ID, which is not sent again.
        is_new = self._keep_ids and event.id != self._id
        self._id = event.id
        return encode_event(Event(event.data, event.event, event.id if is_new else ""))


class BlankLineFilter:
    """Filter for JSON lines that drops blank lines, because line-based readers fail on them."""

    def __init__(self, *, max_line_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parser = LineParser(max_line_bytes=max_line_bytes)

    def receive_data(self, data: bytes) -> bytes:
        """Return the lines that ``data`` completes."""
        return b"".join(b"%b\n" % line.data.encode() for line in self._parser.receive_data(data))

    def receive_eof(self) -> bytes:
        """Return the unfinished line at the end."""
        return b"".join(line.data.encode() for line in self._parser.receive_eof())


def _filter_for(response: Any, keep_ids: bool) -> BodyFilter | None:
    """Return the filter for the body of ``response``; ``None`` if it is not a stream."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return HeartbeatFilter(keep_ids=keep_ids)
    return BlankLineFilter() if kind in JSON_LINES else None


@cache
def _transport(library: Any) -> Any:
    """Return the transport class for synchronous clients of ``library``."""

    class FilteredBody(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any, body_filter: BodyFilter) -> None:
            self._response = response
            self._filter = body_filter

        def __iter__(self) -> Iterator[bytes]:
            for data in self._response.iter_bytes():
                if passed_on := self._filter.receive_data(data):
                    yield passed_on
            if rest := self._filter.receive_eof():
                yield rest

        def close(self) -> None:
            self._response.close()

    class FilteringTransport(library.BaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any, keep_ids: bool) -> None:
            self._client = client
            self._keep_ids = keep_ids

        def handle_request(self, request: Any) -> Any:
            response = self._client.send(request, stream=True, follow_redirects=False)
            return _response(library, response, FilteredBody, self._keep_ids)

    return FilteringTransport


@cache
def _async_transport(library: Any) -> Any:
    """Return the transport class for asynchronous clients of ``library``."""

    class AsyncFilteredBody(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any, body_filter: BodyFilter) -> None:
            self._response = response
            self._filter = body_filter

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._response.aiter_bytes():
                if passed_on := self._filter.receive_data(data):
                    yield passed_on
            if rest := self._filter.receive_eof():
                yield rest

        async def aclose(self) -> None:
            await self._response.aclose()

    class AsyncFilteringTransport(library.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any, keep_ids: bool) -> None:
            self._client = client
            self._keep_ids = keep_ids

        async def handle_async_request(self, request: Any) -> Any:
            response = await self._client.send(request, stream=True, follow_redirects=False)
            return _response(library, response, AsyncFilteredBody, self._keep_ids)

    return AsyncFilteringTransport


def _response(library: Any, response: Any, filtered_body: Any, keep_ids: bool) -> Any:
    """Return the response for the outer client, filtered if it is a stream.

    The body of any other response stays encoded, and the outer client decodes it.
    """
    headers: list[tuple[str, str]] = response.headers.multi_items()
    stream = response.stream
    if (body_filter := _filter_for(response, keep_ids)) is not None:
        headers = [(name, value) for name, value in headers if name.lower() not in _WIRE_HEADERS]
        stream = filtered_body(response, body_filter)
    return library.Response(
        response.status_code, headers=headers, stream=stream, extensions=response.extensions
    )
