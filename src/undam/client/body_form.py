"""Forms of a response body: an event stream, JSON lines, or something else.

No I/O. A body whose Content-Type is not that of a stream is accepted if it begins like an event
stream, because some servers send no or another type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from undam.errors import ResponseError
from undam.sse import Comment, Event, LineParser, Parser

EVENT_STREAM = "text/event-stream"
JSON_LINES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/json-lines",
        "application/stream+json",
    }
)
_SHOWN_BYTES = 300
_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)[\r\n]")
_LONGEST_NAME = b"event:"

Items = Sequence[Event | Comment]


class BodyForm(Protocol):
    """Decoder for one form of response body.

    Attributes:
        last_event_id: value for ``Last-Event-ID``; empty without IDs.
        retry_ms: latest reconnection time that the server has sent.
    """

    @property
    def last_event_id(self) -> str: ...

    @property
    def retry_ms(self) -> int | None: ...

    def receive_data(self, data: bytes) -> Items:
        """Return the items that ``data`` completes.

        Raises:
            RemoteProtocolError: an event is too large.
            ResponseError: the body is not a stream; the message quotes its beginning.
        """
        ...

    def receive_eof(self) -> tuple[Items, int]:
        """Return the items completed by the end of the body, and the size of the discarded rest."""
        ...


class EventStreamForm:
    """Decoder for a body that is an event stream."""

    def __init__(self, max_event_bytes: int) -> None:
        self._parser = Parser(max_event_bytes=max_event_bytes)

    @property
    def last_event_id(self) -> str:
        return self._parser.last_event_id

    @property
    def retry_ms(self) -> int | None:
        return self._parser.retry_ms

    def receive_data(self, data: bytes) -> Items:
        return self._parser.receive_data(data)

    def receive_eof(self) -> tuple[Items, int]:
        return (), self._parser.receive_eof()


class LineForm:
    """Decoder for JSON lines, with one event per line."""

    last_event_id = ""
    retry_ms = None

    def __init__(self, max_event_bytes: int) -> None:
        self._parser = LineParser(max_line_bytes=max_event_bytes)

    def receive_data(self, data: bytes) -> Items:
        return self._parser.receive_data(data)

    def receive_eof(self) -> tuple[Items, int]:
        return self._parser.receive_eof(), 0


class CheckedForm(EventStreamForm):
    """Decoder for a body that should be an event stream, but may be a page or an error.

    Args:
        kind: content type of the response.
        what: description of the response for the error, such as "the server answered 200".
    """

    def __init__(self, max_event_bytes: int, kind: str, what: str) -> None:
        super().__init__(max_event_bytes)
        self._kind = kind
        self._what = what
        self._beginning: bytes | None = b""

    def receive_data(self, data: bytes) -> Items:
        if self._beginning is None:
            return super().receive_data(data)
        self._beginning += data
        if self._kind != EVENT_STREAM:
            # The content type is not conclusive, so the first bytes decide.
            if not _is_decidable(self._beginning):
                return ()
            self._check()
            data = self._beginning
        items = super().receive_data(data)
        if items or self._kind != EVENT_STREAM:
            self._beginning = None
        elif len(self._beginning) > _SHOWN_BYTES:
            self._beginning = self._beginning[:_SHOWN_BYTES]
        return items

    def receive_eof(self) -> tuple[Items, int]:
        if self._beginning:
            self._check()
            if self._kind != EVENT_STREAM:
                return super().receive_data(self._beginning), super().receive_eof()[1]
        return super().receive_eof()

    def _check(self) -> None:
        assert self._beginning is not None
        if begins_like_events(self._beginning):
            return
        shown = " ".join(self._beginning[:_SHOWN_BYTES].decode("utf-8", "replace").split())
        text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in shown)
        raise ResponseError(
            f"{self._what} with {self._kind or 'no content type'}, and the body is not an event "
            f"stream: {text}"
        )


def begins_like_events(data: bytes) -> bool:
    """Return whether ``data`` begins with a field or comment of an event stream, or is blank."""
    text = data.removeprefix(_BOM).lstrip(b"\r\n")
    return not text.strip() or _FIELD.match(text + b"\n") is not None


def _is_decidable(data: bytes) -> bool:
    text = data.removeprefix(_BOM).lstrip(b"\r\n")
    return b"\n" in text or b":" in text or len(text) >= len(_LONGEST_NAME)


def form_for(kind: str, what: str, max_event_bytes: int) -> BodyForm:
    """Return the form of a response with the content type ``kind``."""
    kind = kind.partition(";")[0].strip().lower()
    if kind in JSON_LINES:
        return LineForm(max_event_bytes)
    return CheckedForm(max_event_bytes, kind, what)
