"""`relay`: an ASGI response that passes on another model API's events unchanged."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Unpack

from undam.asgi.passthrough.upstream import discard, opened
from undam.asgi.response.event_stream import EventStream, StreamOptions
from undam.asgi.response.frames import Frames, PlainFrames
from undam.asgi.response.items import Raw, is_framed
from undam.asgi.response.refusal import UpstreamRefused, error_body
from undam.errors import RemoteProtocolError
from undam.sse import encode, encode_json

FIRST_ITEM_TIMEOUT_S = 5.0
"""Default time to wait for the first event of the upstream before the head is sent."""

_DONE, _DONE_DATA = b"data: [DONE]\n\n", b"[DONE]"
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_MAX_EVENT_BYTES = 16 << 20
_FIELD_LINE = re.compile(rb"(?:data|event|id|retry)?:[^\r\n]*\Z")

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
}


def relay(upstream: Any, **options: Unpack[StreamOptions]) -> EventStream:
    """Return an ASGI response that passes on the events of ``upstream`` unchanged.

    Tool calls, reasoning, usage, several choices, the one finish reason and the one ``[DONE]`` are
    those of the upstream. Its comments are replaced by heartbeats of this server. With Starlette
    and FastAPI, use `undam.asgi.starlette.relay`.

        relay(lambda: client.chat.completions.create(**body, stream=True))

    If the upstream fails before its first event, the client receives the upstream's status with
    ``Retry-After``: 429, 400, 401 and others; 502 if it cannot be reached, and 504 after a timeout.
    After ``first_item_timeout`` seconds (default 5) without an event, the response starts with
    heartbeats, and a failure is an error event in the API's form and an abnormal end.

    Args:
        upstream: a stream of openai-python or anthropic (or its context manager, or the coroutine
            that returns it), a streaming response of httpx or aiohttp, an iterable of framed bytes,
            or an iterable of chunks (objects or dicts); or a function that returns one of these.
        options: as for `EventStream`.

    Raises:
        UsageError: an option is invalid.
    """
    return Relay(upstream, **options)


class Relay(EventStream):
    """`EventStream` that relays another stream; see `relay`."""

    def __init__(self, upstream: Any, **options: Unpack[StreamOptions]) -> None:
        given: Any = {"first_item_timeout": FIRST_ITEM_TIMEOUT_S, **options}
        super().__init__(RelayedEvents(upstream), **given)

    def _new_frames(self) -> Frames:
        return RelayFrames()


class RelayedEvents(AsyncIterator[Raw]):
    """Async iterator over the complete events of an upstream."""

    def __init__(self, upstream: Any) -> None:
        self._upstream = upstream
        self._events = self._read()
        self._started = False

    async def __anext__(self) -> Raw:
        self._started = True
        return await anext(self._events)

    async def aclose(self) -> None:
        """Close the upstream, even if nothing was read from it."""
        if self._started:
            await self._events.aclose()
        else:
            await discard(self._upstream)

    async def _read(self) -> AsyncGenerator[Raw, None]:
        splitter, chat, lines = EventSplitter(), ChatObjects(), LineJoiner()
        async with AsyncExitStack() as resources:
            is_first = True
            async for item in await opened(self._upstream, resources):
                data = splitter.receive_data(_framed(item, chat, lines))
                if not data:
                    continue
                if is_first:
                    is_first = False
                    _check_first(data)
                yield Raw(data)
            if tail := splitter.receive_data(lines.receive_eof()) + splitter.receive_eof():
                yield Raw(tail)
            if chat.needs_done:
                yield Raw(_DONE)


class LineJoiner:
    """Joiner that adds the line ends which iterators over lines, such as ``aiter_lines``, remove.

    The items are lines if the first is a whole field, and the second is another field or empty. The
    first item is held until the second arrives, because it does not complete an event.
    """

    def __init__(self) -> None:
        self._first = b""
        self._are_lines: bool | None = None

    def receive_data(self, data: bytes) -> bytes:
        """Return ``data``, with a line end if the items are lines."""
        if self._are_lines is not None:
            return data + b"\n" if self._are_lines else data
        is_line = _FIELD_LINE.match(data) is not None
        if not self._first and (is_line or not data):
            self._first = data
            return b""
        self._are_lines = bool(self._first) and (is_line or not data)
        return self._first + b"\n" + data + b"\n" if self._are_lines else self._first + data

    def receive_eof(self) -> bytes:
        """Return the first item if no other followed."""
        return b"" if self._are_lines is not None else self._first


class EventSplitter:
    """Splitter of a byte stream into complete events; drops comments and blocks without fields."""

    def __init__(self) -> None:
        self._held = b""
        self._is_start = True

    def receive_data(self, data: bytes) -> bytes:
        """Return the events that ``data`` completes; empty bytes if there are none."""
        data = self._held + data
        if self._is_start and len(data) >= len(BOM_UTF8):
            # After the opening comment, a byte order mark would be part of the first field's name.
            self._is_start, data = False, data.removeprefix(BOM_UTF8)
        ends = [at + len(mark) for mark in _EVENT_ENDS if (at := data.rfind(mark)) >= 0]
        end = max(ends, default=0)
        self._held = data[end:]
        if len(self._held) > _MAX_EVENT_BYTES:
            raise RemoteProtocolError(
                f"the upstream sent an event larger than {_MAX_EVENT_BYTES} bytes"
            )
        return _without_comments(data[:end])

    def receive_eof(self) -> bytes:
        """Return the last event if only its blank line is missing; empty bytes if no data is left.

        Raises:
            RemoteProtocolError: the stream ended within an event.
        """
        rest = _without_comments(self._held.rstrip(b"\r\n") + b"\n\n")
        lines = [line[5:].strip() for line in rest.splitlines() if line.startswith(b"data:")]
        if not lines:
            return b""
        text = b"\n".join(lines)
        try:
            json.loads(text if text != _DONE_DATA else b"null")
        except ValueError:
            raise RemoteProtocolError("the upstream's response ended within an event") from None
        return rest


def _without_comments(data: bytes) -> bytes:
    """Remove comments from ``data``; return it unchanged if it has none."""
    if not data.strip(b"\r\n"):
        return b""
    if not data.startswith(b":") and b"\n:" not in data and b"\r:" not in data:
        return data
    blocks = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    kept = [
        b"\n".join(line for line in block.split(b"\n") if line and not line.startswith(b":"))
        for block in blocks
    ]
    return b"".join(block + b"\n\n" for block in kept if block)


class ChatObjects:
    """Encoder for the chunk objects of an SDK, which removes ``[DONE]`` from the stream."""

    def __init__(self) -> None:
        self._is_chat = self._is_finished = self._is_done = False

    @property
    def needs_done(self) -> bool:
        """True if the chat stream has finished without its ``[DONE]`` marker."""
        return self._is_chat and self._is_finished and not self._is_done

    def encode(self, item: Any) -> bytes:
        """Return an object as an event. Its ``type``, if any, becomes the event type."""
        if item == "[DONE]":
            self._is_done = True
            return _DONE
        data = encode_json(item)
        fields = json.loads(data)
        kind = None
        if isinstance(fields, dict):
            choices = fields.get("choices")
            if isinstance(choices, list):
                self._is_chat = True
                self._is_finished = self._is_finished or any(
                    isinstance(one, dict) and one.get("finish_reason") for one in choices
                )
            elif isinstance(fields.get("type"), str):
                kind = fields["type"]
        return encode(data.decode(), event=kind)


def _framed(item: Any, chat: ChatObjects, lines: LineJoiner) -> bytes:
    if isinstance(item, bytes | bytearray | memoryview):
        return lines.receive_data(bytes(item))
    if isinstance(item, str) and item != "[DONE]":
        return lines.receive_data(item.encode("utf-8", "replace"))
    return chat.encode(item)


def _check_first(data: bytes) -> None:
    """Raise if the stream begins with an error event, so that the client receives an error status.

    Raises:
        UpstreamRefused: the first event is an error.
    """
    first = data.split(b"\n\n", 1)[0].replace(b"\r\n", b"\n")
    if b"error" not in first:
        return
    lines = [line[5:].strip() for line in first.split(b"\n") if line.startswith(b"data:")]
    try:
        payload = json.loads(b"\n".join(lines))
    except ValueError:
        return
    error = payload.get("error") if isinstance(payload, dict) else None
    if error is None and isinstance(payload, dict) and payload.get("object") == "error":
        error = payload  # the format of early versions of vLLM
    is_error = first.startswith(b"event: error") or (error and "choices" not in payload)
    if not is_error:
        return
    detail = error if isinstance(error, dict) else {}
    message = f"the upstream began with an error event: {detail.get('message') or error}"
    raise UpstreamRefused(
        message, _status_of(detail), body=encode_json({"error": error or payload}), event=data
    )


def _status_of(error: dict[str, Any]) -> int:
    for name in ("status", "status_code", "code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    kinds = (error.get("type"), error.get("code"))
    return next((_STATUS_OF_TYPE[kind] for kind in kinds if kind in _STATUS_OF_TYPE), 502)


class RelayFrames(PlainFrames):
    """Encoder that passes events on unchanged, and formats errors like the upstream's API."""

    __slots__ = ("_named",)

    def __init__(self) -> None:
        super().__init__()
        self._named = False

    def encode(self, item: object) -> bytes:
        if isinstance(item, Raw):
            self._named = self._named or item.data.startswith(b"event:")
            return super().encode_other(item)
        assert isinstance(item, str)
        return item.encode() if is_framed(item) else b""

    def error_event(self, message: str, kind: str) -> bytes:
        if not self._named:
            return b"data: " + error_body(message, kind) + b"\n\n"
        error = {"type": "api_error", "message": message}
        data = {"type": "error", "error": error, "code": kind, "message": message, "param": None}
        return b"event: error\ndata: " + encode_json(data) + b"\n\n"

    def shutdown_event(self) -> bytes:
        return self.error_event("The server is shutting down.", "server_shutdown")
