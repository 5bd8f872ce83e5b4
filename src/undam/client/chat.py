"""Chat requests whose answer is read as it arrives; `achat` is the asynchronous form."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

from undam.client.chat_request import ChatOptions, ChatRequest, Messages, build_request
from undam.client.chat_session import MAX_REFUSAL_BYTES, ChatSession, library_for
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
    """Send a chat request to ``url`` and iterate over the deltas of the answer.

        with chat("http://localhost:8000/v1", "Why is the sky blue?", model="m") as answer:
            for delta in answer:
                if isinstance(delta, Text):
                    print(delta.text, end="", flush=True)

    Iteration ends normally only if the answer is complete. Heartbeats of every form are skipped.

    Args:
        url: URL of OpenAI's chat, completions or responses API or of Anthropic's messages API. A
            base URL (no path, or a path that ends in /v1) selects the chat API.
        messages: one user message, or the messages in the API's format.
        model: name of the model.
        http_client: a Client of httpx or httpx2. Its timeouts are not used, and it stays open. By
            default, a client is created for the request and closed afterwards.
        timing: a `Timing` created by the caller, for instance with a different stall limit.
        options: see `ChatOptions`.

    Raises:
        UsageError: immediately, if an argument is invalid.
        NetworkError: no response was received (raised on iteration or ``with``).
        ResponseError: the response is not a stream (raised on iteration or ``with``).
        IncompleteStream, StreamError, MalformedStream, IdleTimeout, TtftTimeout: raised on
            iteration. The exception contains the text that had arrived.
    """
    return Chat(build_request(url, messages, model, options), http_client, timing)


class Chat(ChatSession, Iterator[Delta]):
    """Iterator over the deltas of an answer; properties return the data received so far.

    Created by `chat`. Only one thread at a time may use it. Leaving the context closes the
    connection, which also cancels an unfinished answer.
    """

    def __init__(self, request: ChatRequest, client: Any, timing: Timing | None) -> None:
        library = library_for(client)
        super().__init__(request, library, timing)
        self._owns_client = client is None
        self._client = library.Client(timeout=None) if client is None else client
        self._response: Any = None
        self._iterator = self._deltas()

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
        return next(self._iterator)

    def close(self) -> None:
        """Close the stream, so that the server detects the disconnect. May be called repeatedly."""
        self._iterator.close()
        self._close_response()
        if self._owns_client:
            self._client.close()

    def _deltas(self) -> Generator[Delta, None, None]:
        try:
            while True:
                try:
                    if self._response is None:
                        self._open()
                    yield from self._read_body()
                    break
                except UndamError as error:
                    self._close_response()
                    time.sleep(self._pause_or_raise(error))
        finally:
            self.timing.end()
            self._close_response()
            if self._owns_client:
                self._client.close()

    def _open(self) -> None:
        request = self._build_request(self._client)
        try:
            self._response = self._client.send(request, stream=True)
        except (self._lib.HTTPError, self._lib.InvalidURL) as error:
            raise self._translated(error, "headers") from error
        if self._receive_head(self._response):
            return
        body = b""
        with contextlib.suppress(self._lib.HTTPError), self._ttft_alarm():
            for data in self._response.iter_bytes():
                body += data
                if len(body) > MAX_REFUSAL_BYTES:
                    break
        self._close_response()
        raise self._refused(body)

    def _read_body(self) -> Iterator[Delta]:
        reads = reads_of(self._response)
        with self._ttft_alarm() as alarm:
            while True:
                try:
                    data = next(reads, None)
                except self._lib.HTTPError as error:
                    if alarm.has_fired:
                        raise self._ttft_timeout() from error
                    if self._answer.is_complete:
                        return
                    raise self._translated(error, "body") from error
                if data is None:
                    break
                yield from self._receive_data(data)
                self._answer.check()
                if self._answer.is_over:
                    return
                if not self._waits_for_content:
                    alarm.cancel()
                self._ttft_left_s()
        if alarm.has_fired and self._waits_for_content:
            raise self._ttft_timeout()
        self._receive_eof()

    def _ttft_alarm(self) -> _ReadAlarm:
        return _ReadAlarm(self._response, self._ttft_left_s())

    def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            with contextlib.suppress(self._lib.HTTPError):
                response.close()


class _ReadAlarm:
    """Timer that ends a blocking read at a deadline, by shutting down the connection.

    httpx has a single timeout for all reads of a body, so a deadline needs another thread. If the
    connection is shared (HTTP/2) or its socket is not accessible, only the read timeout applies.
    """

    def __init__(self, response: Any, seconds: float | None) -> None:
        self.has_fired = False
        self._timer: threading.Timer | None = None
        stream = response.extensions.get("network_stream")
        found = stream.get_extra_info("socket") if stream is not None else None
        exclusive = response.extensions.get("http_version", b"")[:6] == b"HTTP/1"
        if seconds is not None and exclusive and isinstance(found, socket.socket):
            self._socket = found
            self._timer = threading.Timer(seconds, self._fire)
            self._timer.daemon = True

    def cancel(self) -> None:
        """Cancel the deadline; reads continue without it."""
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self.has_fired = True
        with contextlib.suppress(OSError):
            # Bypass SSLSocket.shutdown, which would discard the TLS state while the reader is using
            # it.
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
