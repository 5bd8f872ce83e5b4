"""Ask a model and read its answer as it comes, asynchronously: under asyncio or trio."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, Unpack

from undam.client.call import Call, ChatOptions, Messages, call_of
from undam.client.conversation import REFUSAL_BYTES, Conversation, library_for
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
    """As ``chat``, with ``async with`` and ``async for``.

    Args:
        http_client: an AsyncClient of httpx or httpx2.
    """
    return AsyncChat(call_of(url, messages, model, options), http_client, timing)


class AsyncChat(Conversation, AsyncIterator[Delta]):
    """As Chat, with ``async with`` and ``async for``; made by ``achat``, one task at a time."""

    def __init__(self, call: Call, client: Any, timing: Timing | None) -> None:
        library = library_for(client)
        super().__init__(call, library, timing)
        self._owns_client = client is None
        self._client = library.AsyncClient(timeout=None) if client is None else client
        self._response: Any = None
        self._flow: AsyncGenerator[Delta, None] = self._deltas()

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
        return await anext(self._flow)

    async def aclose(self) -> None:
        """Leave the stream; the server sees its reader go. May be called again."""
        await self._flow.aclose()
        await self._leave()

    async def _deltas(self) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                try:
                    if self._response is None:
                        await self._open()
                    async with contextlib.aclosing(self._receive()) as deltas:
                        async for delta in deltas:
                            yield delta
                    break
                except UndamError as error:
                    await self._let_go()
                    pause = self._pause_s(error)
                    if pause is None:
                        final = self._final(error)
                        raise final from (None if final is error else error)
                    await _anyio().sleep(pause)
        finally:
            self.timing.end()
            await self._leave()

    async def _open(self) -> None:
        request = self._request(self._client)
        try:
            self._response = await self._in_time(self._client.send, request, stream=True)
        except (self._lib.HTTPError, self._lib.InvalidURL) as error:
            raise self._translated(error, "headers") from error
        if self._opened(self._response):
            return
        body = b""
        with contextlib.suppress(self._lib.HTTPError):
            async for data in self._response.aiter_bytes():
                body += data
                if len(body) > REFUSAL_BYTES:
                    break
        await self._let_go()
        raise self._refused(body)

    async def _receive(self) -> AsyncGenerator[Delta, None]:
        reads = areads_of(self._response)
        while True:
            try:
                data = await self._in_time(anext, reads, None)
            except self._lib.HTTPError as error:
                if self._answer.is_complete:
                    return
                raise self._translated(error, "body") from error
            if data is None:
                break
            for delta in self._took(data):
                yield delta
            self._answer.check()
            if self._answer.is_over:
                return
        self._ended()

    async def _in_time(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What ``work`` gives, if it does before the first content is overdue.

        Raises:
            TtftTimeout: it does not.
        """
        left = self._ttft_left_s()
        if left is None:
            return await work(*given, **named)
        with _anyio().move_on_after(left):
            return await work(*given, **named)
        raise self._too_late()

    async def _let_go(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            with contextlib.suppress(self._lib.HTTPError):
                await response.aclose()

    async def _leave(self) -> None:
        await self._let_go()
        if self._owns_client:
            await self._client.aclose()


def _anyio() -> Any:
    # It comes with httpx, which is there whenever a call is under way.
    return importlib.import_module("anyio")


__all__ = ["AsyncChat", "achat"]
