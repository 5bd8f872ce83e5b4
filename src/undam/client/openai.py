"""Keep openai-python alive on streams whose heartbeats crash it, one client at a time.

What the client sees is the same stream with everything taken out that is no event of the API:
comments, empty events, lone ids and retries, pings, a byte order mark. Other responses pass as
they are. Nothing of the library is patched.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, TypeVar

from undam.client.conversation import LIBRARIES
from undam.client.heartbeats import is_heartbeat
from undam.client.reading import MAX_EVENT_BYTES
from undam.client.responses import library_of
from undam.errors import UsageError
from undam.sse import Event, Parser, encode_event

Client = TypeVar("Client")

# They tell of the body as it was on the wire; what is handed on is decoded and shorter.
_WIRE_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


def stream_of(client: Client) -> Client:
    """A copy of an OpenAI, AsyncOpenAI or Azure client that survives every heartbeat.

    The copy sends through the client it was made of, so its proxies, limits and hooks stay in
    force; close that one when both are done with.

        client = undam.client.openai.stream_of(openai.OpenAI())
        for chunk in client.chat.completions.create(model="m", messages=[…], stream=True): ...

    Raises:
        UsageError: it is none of openai-python's clients.
    """
    inner, copy = getattr(client, "_client", None), getattr(client, "with_options", None)
    if copy is None or library_of(client, ("openai",)) is None:
        raise UsageError(f"stream_of() takes a client of openai-python, not {type(client)!r}")
    changed: Client = copy(http_client=tolerant(inner))
    return changed


def tolerant(http_client: Any) -> Any:
    """A Client (or AsyncClient) of httpx or httpx2 that sends through ``http_client`` and takes
    the heartbeats out of event streams; for libraries that take one, such as langchain-openai.

    Raises:
        UsageError: it is no client of theirs.
    """
    name = library_of(http_client, LIBRARIES)
    if name is None:
        raise UsageError(f"tolerant() takes a client of httpx or httpx2, not {type(http_client)!r}")
    library = sys.modules[name]
    asynchronous = isinstance(http_client, library.AsyncClient)
    relay = _async_relay(library) if asynchronous else _relay(library)
    kind = library.AsyncClient if asynchronous else library.Client
    return kind(
        transport=relay(http_client),
        base_url=http_client.base_url,
        headers=http_client.headers,
        cookies=http_client.cookies,
        params=http_client.params,
        timeout=http_client.timeout,
        follow_redirects=http_client.follow_redirects,
        trust_env=False,  # the inner client knows the proxies
    )


class Filter:
    """Bytes of an event stream in; the events of the API alone out, each as soon as it is whole."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parser = Parser(max_event_bytes=max_event_bytes)

    def receive_data(self, data: bytes) -> bytes:
        """The events that ``data`` completes, written anew; "" for none.

        Raises:
            RemoteProtocolError: an event is larger than the bound.
        """
        kept = [
            # The id stays out: with one, openai-python takes any blank line for an event.
            encode_event(Event(item.data, item.event))
            for item in self._parser.receive_data(data)
            if isinstance(item, Event) and not is_heartbeat(item)
        ]
        return b"".join(kept)


def _is_event_stream(response: Any) -> bool:
    kind = str(response.headers.get("content-type", "")).partition(";")[0]
    return kind.strip().lower() == "text/event-stream"


def _headers(response: Any) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = response.headers.multi_items()
    return [(name, value) for name, value in pairs if name.lower() not in _WIRE_HEADERS]


@cache
def _relay(library: Any) -> Any:
    """The transport class for this library's synchronous clients."""

    class Body(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any) -> None:
            self._response = response

        def __iter__(self) -> Iterator[bytes]:
            events = Filter()
            for data in self._response.iter_bytes():
                if kept := events.receive_data(data):
                    yield kept

        def close(self) -> None:
            self._response.close()

    class Relay(library.BaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any) -> None:
            self._client = client

        def handle_request(self, request: Any) -> Any:
            response = self._client.send(request, stream=True, follow_redirects=False)
            if not _is_event_stream(response):
                return _passed(library, response)
            return library.Response(
                response.status_code,
                headers=_headers(response),
                stream=Body(response),
                extensions=response.extensions,
            )

    return Relay


@cache
def _async_relay(library: Any) -> Any:
    """The transport class for this library's asynchronous clients."""

    class Body(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any) -> None:
            self._response = response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            events = Filter()
            async for data in self._response.aiter_bytes():
                if kept := events.receive_data(data):
                    yield kept

        async def aclose(self) -> None:
            await self._response.aclose()

    class Relay(library.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, client: Any) -> None:
            self._client = client

        async def handle_async_request(self, request: Any) -> Any:
            response = await self._client.send(request, stream=True, follow_redirects=False)
            if not _is_event_stream(response):
                return _passed(library, response)
            return library.Response(
                response.status_code,
                headers=_headers(response),
                stream=Body(response),
                extensions=response.extensions,
            )

    return Relay


def _passed(library: Any, response: Any) -> Any:
    """The same response for the outer client, its body still to be read and decoded there."""
    return library.Response(
        response.status_code,
        headers=response.headers.multi_items(),
        stream=response.stream,
        extensions=response.extensions,
    )
