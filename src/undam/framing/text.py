"""Decoding of bodies without framing: plain text is divided into words, binary data into reads."""

from __future__ import annotations

import codecs
import re

from undam.errors import RemoteProtocolError
from undam.framing.detect import is_coded_line
from undam.sse import Comment, Event, LineParser

# A word with the whitespace around it, or one character of a script that is written without spaces.
_WORD = re.compile(
    r"\s*(?:[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
    r"|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]{1,32})\s*"
)


BINARY = "undam/binary"
"""Event name for a read of binary data; no protocol uses a name with a slash."""


class TextDecoder:
    """Decoder of plain text into words, which are the closest equivalent of tokens.

    Each read completes its last word, because a server writes whole tokens and text has no other
    end of an event. Lines of the Vercel AI SDK's data stream (``0:"token"``) become one event each,
    named after their code.

    Args:
        max_event_bytes: maximum size of one coded line.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._max_bytes = max_event_bytes
        self._lines: LineParser | None = None
        self._first = True

    @property
    def pending_bytes(self) -> int:
        """Number of bytes of an unfinished line or character."""
        if self._lines is not None:
            return self._lines.pending_bytes
        return len(self._decoder.getstate()[0])

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        if self._first and data:
            self._first = False
            if is_coded_line(data):
                self._lines = LineParser(max_line_bytes=self._max_bytes)
        if self._lines is not None:
            return [_coded(line) for line in self._lines.receive_data(data)]
        return [Event(word) for word in _WORD.findall(self._decoder.decode(data))]

    def receive_eof(self) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        if self._lines is not None:
            return [_coded(line) for line in self._lines.receive_eof()]
        return []


class BytesDecoder:
    """Decoder of binary data: each read is one event without text."""

    pending_bytes = 0

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        return [Event("", BINARY)] if data else []

    def receive_eof(self) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        return []


def _coded(line: Event) -> Event:
    code, colon, value = line.data.partition(":")
    if not colon or len(code) != 1:
        raise RemoteProtocolError(f"the line {line.data[:40]!r} is not part of a data stream")
    return Event(value, code)
