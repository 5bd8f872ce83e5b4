"""Decoding of a body into events, for any framing."""

from __future__ import annotations

from typing import Protocol

from undam.framing.detect import DECIDE_BYTES, Framing, boundary_of, detect, has_bare_values
from undam.framing.eventstream import EventStreamDecoder
from undam.framing.json_text import ArrayDecoder, SequenceDecoder
from undam.framing.multipart import MultipartDecoder
from undam.framing.text import BytesDecoder, TextDecoder
from undam.sse import Comment, Event, LineParser, Parser
from undam.sse.parse import DEFAULT_MAX_BYTES

__all__ = ["BodyDecoder", "Decoder", "Framing", "new_decoder"]


class Decoder(Protocol):
    """Decoder that converts reads of any size into events."""

    @property
    def pending_bytes(self) -> int:
        """Number of bytes of an unfinished event."""
        ...

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """Return the events that ``data`` completes, in order.

        Raises:
            RemoteProtocolError: the bytes break the framing, or an event is too large. Events that
                the same call completed before the error are returned, and the next call raises.
        """
        ...

    def receive_eof(self) -> list[Event | Comment]:
        """Return the events that are completed by the end of the body.

        Raises:
            RemoteProtocolError: as ``receive_data``.
        """
        ...


class BodyDecoder:
    """Decoder that detects the framing of a body.

    Args:
        content_type: value of the Content-Type header; empty if there is none.
        max_event_bytes: maximum size of one event.

    Attributes:
        framing: the detected framing; ``None`` before it is known.
    """

    def __init__(self, content_type: str, *, max_event_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.framing: Framing | None = None
        self._content_type = content_type
        self._max_bytes = max_event_bytes
        self._beginning = bytearray()
        self._decoder: Decoder | None = None

    @property
    def pending_bytes(self) -> int:
        """Number of bytes of an unfinished event."""
        return self._decoder.pending_bytes if self._decoder else len(self._beginning)

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """Return the events that ``data`` completes, in order.

        Raises:
            RemoteProtocolError: the bytes break the framing, or an event is too large. Events that
                the same call completed before the error are returned, and the next call raises.
        """
        if self._decoder is not None:
            return self._decoder.receive_data(data)
        self._beginning += data
        return self._decide(complete=False)

    def receive_eof(self) -> list[Event | Comment]:
        """Return the events that are completed by the end of the body.

        Raises:
            RemoteProtocolError: as ``receive_data``.
        """
        out = [] if self._decoder is not None else self._decide(complete=True)
        assert self._decoder is not None
        return out + self._decoder.receive_eof()

    def _decide(self, *, complete: bool) -> list[Event | Comment]:
        beginning = bytes(self._beginning[: DECIDE_BYTES + 1])
        self.framing = detect(self._content_type, beginning, complete=complete)
        if self.framing is None:
            return []
        self._decoder = new_decoder(
            self.framing, self._content_type, self._max_bytes, beginning=beginning
        )
        held = bytes(self._beginning)
        self._beginning.clear()
        return self._decoder.receive_data(held) if held else []


def new_decoder(
    framing: Framing, content_type: str, max_event_bytes: int, *, beginning: bytes = b""
) -> Decoder:
    """Return a decoder for ``framing``.

    Args:
        beginning: first bytes of the body, to distinguish JSON lines from bare JSON values.
    """
    match framing:
        case Framing.SSE:
            return _SseDecoder(max_event_bytes)
        case Framing.NDJSON:
            if has_bare_values(beginning):
                return ArrayDecoder(max_event_bytes, bare=True)
            return _LineDecoder(max_event_bytes)
        case Framing.JSON_SEQ:
            return SequenceDecoder(max_event_bytes)
        case Framing.JSON_ARRAY:
            return ArrayDecoder(max_event_bytes)
        case Framing.EVENTSTREAM:
            return EventStreamDecoder(max_event_bytes)
        case Framing.MULTIPART:
            return MultipartDecoder(boundary_of(content_type), max_event_bytes)
        case Framing.TEXT:
            return TextDecoder(max_event_bytes)
        case _:
            return BytesDecoder()


class _SseDecoder:
    def __init__(self, max_event_bytes: int) -> None:
        self._parser = Parser(max_event_bytes=max_event_bytes)

    @property
    def pending_bytes(self) -> int:
        return self._parser.pending_bytes

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        return self._parser.receive_data(data)

    def receive_eof(self) -> list[Event | Comment]:
        # An unfinished event is discarded (WHATWG HTML 9.2.6). Its bytes stay in `pending_bytes`.
        return self._parser.receive_data(b"")


class _LineDecoder:
    def __init__(self, max_event_bytes: int) -> None:
        self._parser = LineParser(max_line_bytes=max_event_bytes)

    @property
    def pending_bytes(self) -> int:
        return self._parser.pending_bytes

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        return list(self._parser.receive_data(data))

    def receive_eof(self) -> list[Event | Comment]:
        return list(self._parser.receive_eof())
