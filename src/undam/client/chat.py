"""Ask a model and read its answer as it comes; see ``achat`` for the same asynchronously."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

from undam.client.call import Call, ChatOptions, Messages, call_of
from undam.client.conversation import REFUSAL_BYTES, Conversation, library_for
from undam.client.deltas import Delta
from undam.client.responses import reads_of
from undam.client.timing import Timing
from undam.errors import UndamError


def chat(
    url: str,
    messages: Messages,
    *,
    model: str,
    http_client: Any = None,
    timing: Timing | None = None,
    **options: Unpack[ChatOptions],
) -> Chat:
    """Ask the model at ``url``; iterate the result for the deltas of its answer.

        with chat("http://localhost:8000/v1", "Why is the sky blue?", model="m") as answer:
            for delta in answer:
                if isinstance(delta, Text):
                    print(delta.text, end="", flush=True)

    Iteration ends only when the answer is whole. Heartbeats of every form are skipped.

    Args:
        url: a path of OpenAI's chat, completions or responses or of Anthropic's messages; an API's
            base (ends in /v1) means its chat.
        messages: a question, or the messages as the API writes them.
        http_client: a Client of httpx or httpx2; its own time limits do not count, and it stays
            open. Without it the call makes one and closes it.
        timing: made by the caller, for a clock or a stall limit of its own.
        options: see ChatOptions.

    Raises:
        UsageError: at once, for what cannot be asked.
        NetworkError, ResponseError: on iteration or on ``with``: there is no stream.
        IncompleteStream, StreamError, MalformedStream, IdleTimeout, TtftTimeout: on iteration;
            what had arrived is in the error.
    """
    return Chat(call_of(url, messages, model, options), http_client, timing)


class Chat(Conversation, Iterator[Delta]):
    """An answer under way: its deltas by iteration, and what arrived so far by its properties.

    Made by ``chat``; one thread at a time. Leaving the context closes the connection, which is
    how an answer is cut short.
    """

    def __init__(self, call: Call, client: Any, timing: Timing | None) -> None:
        library = library_for(client)
        super().__init__(call, library, timing)
        self._owns_client = client is None
        self._client = library.Client(timeout=None) if client is None else client
        self._response: Any = None
        self._flow = self._deltas()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __next__(self) -> Delta:
        return next(self._flow)

    def close(self) -> None:
        """Leave the stream; the server sees its reader go. May be called again."""
        self._flow.close()
        self._let_go()
        if self._owns_client:
            self._client.close()

    def _deltas(self) -> Generator[Delta, None, None]:
        try:
            while True:
                try:
                    if self._response is None:
                        self._open()
                    yield from self._receive()
                    break
                except UndamError as error:
                    self._let_go()
                    pause = self._pause_s(error)
                    if pause is None:
                        final = self._final(error)
                        raise final from (None if final is error else error)
                    time.sleep(pause)
        finally:
            self.timing.end()
            self._let_go()
            if self._owns_client:
                self._client.close()

    def _open(self) -> None:
        request = self._request(self._client)
        try:
            self._response = self._client.send(request, stream=True)
        except (self._lib.HTTPError, self._lib.InvalidURL) as error:
            raise self._translated(error, "headers") from error
        if self._opened(self._response):
            return
        body = b""
        with contextlib.suppress(self._lib.HTTPError), self._alarm():
            for data in self._response.iter_bytes():
                body += data
                if len(body) > REFUSAL_BYTES:
                    break
        self._let_go()
        raise self._refused(body)

    def _receive(self) -> Iterator[Delta]:
        reads = reads_of(self._response)
        with self._alarm() as alarm:
            while True:
                try:
                    data = next(reads, None)
                except self._lib.HTTPError as error:
                    if alarm.has_fired:
                        raise self._too_late() from error
                    if self._answer.is_complete:
                        return
                    raise self._translated(error, "body") from error
                if data is None:
                    break
                yield from self._took(data)
                self._answer.check()
                if self._answer.is_over:
                    return
                if not self._waits_for_content:
                    alarm.cancel()
                self._ttft_left_s()
        if alarm.has_fired and self._waits_for_content:
            raise self._too_late()
        self._ended()

    def _alarm(self) -> _Alarm:
        return _Alarm(self._response, self._ttft_left_s())

    def _let_go(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            with contextlib.suppress(self._lib.HTTPError):
                response.close()


class _Alarm:
    """Wakes a blocking read when the time is over, by shutting the connection down.

    httpx takes one limit for all reads of a body, so a deadline needs another thread. Where the
    connection is shared (HTTP/2) or no socket, only the reads' own limit is left.
    """

    def __init__(self, response: Any, seconds: float | None) -> None:
        self.has_fired = False
        self._timer: threading.Timer | None = None
        stream = response.extensions.get("network_stream")
        found = stream.get_extra_info("socket") if stream is not None else None
        alone = response.extensions.get("http_version", b"")[:6] == b"HTTP/1"
        if seconds is not None and alone and isinstance(found, socket.socket):
            self._socket = found
            self._timer = threading.Timer(seconds, self._fire)
            self._timer.daemon = True

    def cancel(self) -> None:
        """The reads go on without it."""
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self.has_fired = True
        with contextlib.suppress(OSError):
            # Not the method of a TLS socket: that one forgets its keys while the reader uses them.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()


__all__ = ["Chat", "chat"]
