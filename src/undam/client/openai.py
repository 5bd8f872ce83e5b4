"""Wrapper for clients of openai-python, which fails on the heartbeats of some servers.

The client receives only the events of the API. Comments, empty events, IDs and retry fields without
data, pings and a byte order mark are removed. Other responses are passed through unchanged, and
openai-python itself is not patched.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, TypeVar

from undam.client.chat_session import LIBRARIES
from undam.client.heartbeats import is_heartbeat
from undam.client.reading import MAX_EVENT_BYTES
from undam.client.responses import library_of
from undam.errors import UsageError
from undam.sse import Event, Parser, encode_event

Client = TypeVar("Client")

# Headers that describe the body on the wire. The body that is passed on is decoded and shorter.
_WIRE_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


def stream_of(client: Client) -> Client:
    """Return a copy of an OpenAI, AsyncOpenAI or Azure client that tolerates every heartbeat.

    The copy sends its requests through the original client, so the original's proxies, limits and
    hooks apply. Close the original when neither client is needed any more.

        client = undam.client.openai.stream_of(openai.OpenAI())
        for chunk in client.chat.completions.create(model="m", messages=[…], stream=True): ...

    Raises:
        UsageError: ``client`` is not a client of openai-python.
    """
    inner, copy = getattr(client, "_client", None), getattr(client, "with_options", None)
    if copy is None or library_of(client, ("openai",)) is None:
        raise UsageError(f"stream_of() requires an openai-python client, not {type(client)!r}")
    changed: Client = copy(http_client=tolerant(inner))
    return changed


def tolerant(http_client: Any) -> Any:
    """Return an httpx or httpx2 client that removes heartbeats from event streams.

    It sends its requests through ``http_client``, and is asynchronous if ``http_client`` is. Pass
    it to libraries that accept an HTTP client, such as langchain-openai.

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
        transport=transport(http_client),
        base_url=http_client.base_url,
        headers=http_client.headers,
        cookies=http_client.cookies,
        params=http_client.params,
        timeout=http_client.timeout,
        follow_redirects=http_client.follow_redirects,
        trust_env=False,  # the inner client has the proxy settings
    )


class HeartbeatFilter:
    """Filter for event streams that returns the events of the API and drops everything else."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parser = Parser(max_event_bytes=max_event_bytes)

    def receive_data(self, data: bytes) -> bytes:
        """Return the events that ``data`` completes, re-encoded; empty if there are none.

        Raises:
            RemoteProtocolError: an event is larger than the limit.
        """
        events = [
            # The ID is removed: after an ID, openai-python treats any blank line as an event.
            encode_event(Event(item.data, item.event))
            for item in self._parser.receive_data(data)
            if isinstance(item, Event) and not is_heartbeat(item)
        ]
        return b"".join(events)


@cache
def _transport(library: Any) -> Any:
    """Return the transport class for synchronous clients of ``library``."""

    class FilteredBody(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any) -> None:
            self._response = response

        def __iter__(self) -> Iterator[bytes]:
            heartbeats = HeartbeatFilter()
            for data in self._response.iter_bytes():
                if events := heartbeats.receive_data(data):
                    yield events

        def close(self) -> None:
            self._response.close()

    class FilteringTransport(library.BaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any) -> None:
            self._client = client

        def handle_request(self, request: Any) -> Any:
            response = self._client.send(request, stream=True, follow_redirects=False)
            return _response(library, response, FilteredBody)

    return FilteringTransport


@cache
def _async_transport(library: Any) -> Any:
    """Return the transport class for asynchronous clients of ``library``."""

    class AsyncFilteredBody(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any) -> None:
            self._response = response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            heartbeats = HeartbeatFilter()
            async for data in self._response.aiter_bytes():
                if events := heartbeats.receive_data(data):
                    yield events

        async def aclose(self) -> None:
            await self._response.aclose()

    class AsyncFilteringTransport(library.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any) -> None:
            self._client = client

        async def handle_async_request(self, request: Any) -> Any:
            response = await self._client.send(request, stream=True, follow_redirects=False)
            return _response(library, response, AsyncFilteredBody)

    return AsyncFilteringTransport


def _response(library: Any, response: Any, filtered_body: Any) -> Any:
    """Return the response for the outer client. Only event streams are filtered.

    The body of any other response stays encoded, and the outer client decodes it.
    """
    headers: list[tuple[str, str]] = response.headers.multi_items()
    stream = response.stream
    if _is_event_stream(response):
        headers = [(name, value) for name, value in headers if name.lower() not in _WIRE_HEADERS]
        stream = filtered_body(response)
    return library.Response(
        response.status_code, headers=headers, stream=stream, extensions=response.extensions
    )


def _is_event_stream(response: Any) -> bool:
    kind = str(response.headers.get("content-type", "")).partition(";")[0]
    return kind.strip().lower() == "text/event-stream"
