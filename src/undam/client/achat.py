"""Asynchronous form of `chat`, for asyncio and trio."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, Unpack

from undam.client.chat_request import ChatOptions, ChatRequest, Messages, build_request
from undam.client.chat_session import MAX_REFUSAL_BYTES, ChatSession, library_for
from undam.client.deltas import Delta
from undam.client.responses import areads_of
from undam.client.timing import Timing
from undam.errors import UndamError


def achat(
    url: str,
    messages: Messages,
    *,
    model: str,
    http_client: Any = None,
    timing: Timing | None = None,
    **options: Unpack[ChatOptions],
) -> AsyncChat:
    """Send a chat request; use the result with ``async with`` and ``async for``.

    The other arguments and the exceptions are the same as for `chat`.

    Args:
        http_client: an AsyncClient of httpx or httpx2.
    """
    return AsyncChat(build_request(url, messages, model, options), http_client, timing)


class AsyncChat(ChatSession, AsyncIterator[Delta]):
    """Asynchronous form of `Chat`, created by `achat`. Only one task at a time may use it."""

    def __init__(self, request: ChatRequest, client: Any, timing: Timing | None) -> None:
        library = library_for(client)
        super().__init__(request, library, timing)
        self._owns_client = client is None
        self._client = library.AsyncClient(timeout=None) if client is None else client
        self._response: Any = None
        self._iterator: AsyncGenerator[Delta, None] = self._deltas()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def __anext__(self) -> Delta:
        return await anext(self._iterator)

    async def aclose(self) -> None:
        """Close the stream, so that the server detects the disconnect. May be called repeatedly."""
        await self._iterator.aclose()
        await self._close_all()

    async def _deltas(self) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                try:
                    if self._response is None:
                        await self._open()
                    async with contextlib.aclosing(self._read_body()) as deltas:
                        async for delta in deltas:
                            yield delta
                    break
                except UndamError as error:
                    await self._close_response()
                    await _anyio().sleep(self._pause_or_raise(error))
        finally:
            self.timing.end()
            await self._close_all()

    async def _open(self) -> None:
        request = self._build_request(self._client)
        try:
            self._response = await self._within_ttft(self._client.send, request, stream=True)
        except (self._lib.HTTPError, self._lib.InvalidURL) as error:
            raise self._translated(error, "headers") from error
        if self._receive_head(self._response):
            return
        body = b""
        with contextlib.suppress(self._lib.HTTPError):
            async for data in self._response.aiter_bytes():
                body += data
                if len(body) > MAX_REFUSAL_BYTES:
                    break
        await self._close_response()
        raise self._refused(body)

    async def _read_body(self) -> AsyncGenerator[Delta, None]:
        reads = areads_of(self._response)
        while True:
            try:
                data = await self._within_ttft(anext, reads, None)
            except self._lib.HTTPError as error:
                if self._answer.is_complete:
                    return
                raise self._translated(error, "body") from error
            if data is None:
                break
            for delta in self._receive_data(data):
                yield delta
            self._answer.check()
            if self._answer.is_over:
                return
        self._receive_eof()

    async def _within_ttft(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Await ``work(…)`` within the time left for the first content, and return its result.

        Raises:
            TtftTimeout: the time limit has passed.
        """
        left = self._ttft_left_s()
        if left is None:
            return await work(*given, **named)
        with _anyio().move_on_after(left):
            return await work(*given, **named)
        raise self._ttft_timeout()

    async def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            with contextlib.suppress(self._lib.HTTPError):
                await response.aclose()

    async def _close_all(self) -> None:
        await self._close_response()
        if self._owns_client:
            await self._client.aclose()


def _anyio() -> Any:
    # anyio is available here, because it is a dependency of httpx.
    return importlib.import_module("anyio")


__all__ = ["AsyncChat", "achat"]
