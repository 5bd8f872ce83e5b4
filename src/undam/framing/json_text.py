"""JSON text sequences (RFC 7464), and JSON arrays that are written element by element.

Values are found by their delimiters and parsed later, by the readers of the API. The work is linear
in the number of bytes, however they are split.
"""

from __future__ import annotations

import re

from undam.errors import RemoteProtocolError
from undam.framing.buffered import BufferedDecoder
from undam.sse import Comment, Event

_RS = b"\x1e"
_SPACE = b" \t\r\n"
# Characters that change the state of the scanner: quotes, brackets, commas.
_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE_STRING = re.compile(rb'["\\]')
# Real values are not nested this deeply. The limit rejects a malicious body that never closes its
# brackets.
_MAX_DEPTH = 512


class SequenceDecoder(BufferedDecoder):
    """Decoder for values that are each preceded by a record separator.

    A value is complete at the next separator or at its newline, which RFC 7464 requires (section
    2.4): a stream would otherwise always appear one event late.
    """

    def _decode(self, data: bytes, out: list[Event | Comment]) -> None:
        for number, piece in enumerate(data.split(_RS)):
            if number:
                self._finish(out)
            lines = piece.split(b"\n")
            for line in lines[:-1]:
                self._held += line
                self._finish(out)
            self._held += lines[-1]
        self._check_size("value", out)

    def receive_eof(self) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        return self.receive_data(b"\n") if self._held or self._failure else []

    def _finish(self, out: list[Event | Comment]) -> None:
        text = bytes(self._held).strip(_SPACE).decode("utf-8", "replace")
        self._held.clear()
        if text:
            out.append(Event(text))


class ArrayDecoder(BufferedDecoder):
    """Decoder for the elements of one JSON array, or for successive JSON values.

    An object or an array is complete at its closing bracket, a string at its closing quote, any
    other value at the next comma.

    Args:
        max_event_bytes: maximum size of one element.
        bare: whether the values are concatenated, possibly indented JSON without an array.
    """

    def __init__(self, max_event_bytes: int, *, bare: bool = False) -> None:
        super().__init__(max_event_bytes)
        self._base = 0 if bare else 1
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether the closing bracket of the array has been read."""
        return self._closed

    @property
    def pending_bytes(self) -> int:
        """Return the size of the unfinished element in bytes."""
        return len(bytes(self._held).strip(_SPACE))

    def _decode(self, data: bytes, out: list[Event | Comment]) -> None:
        self._scan(data, out)
        self._check_size("element", out)

    def _scan(self, data: bytes, out: list[Event | Comment]) -> None:
        at = 0
        while at < len(data):
            if self._in_string:
                at = self._scan_string(data, at, out)
                continue
            match = _OUTSIDE.search(data, at)
            if match is None:
                self._hold(data[at:])
                return
            end = match.end()
            self._take(data[at : end - 1], match[0], out)
            at = end

    def _scan_string(self, data: bytes, at: int, out: list[Event | Comment]) -> int:
        if self._escaped:
            self._escaped = False
            self._held += data[at : at + 1]
            return at + 1
        match = _INSIDE_STRING.search(data, at)
        if match is None:
            self._held += data[at:]
            return len(data)
        self._held += data[at : match.end()]
        if match[0] == b"\\":
            self._escaped = True
        else:
            self._in_string = False
            if self._depth == self._base:
                self._finish(out)
        return match.end()

    def _take(self, before: bytes, sign: bytes, out: list[Event | Comment]) -> None:
        """Process one delimiter and the bytes before it."""
        self._hold(before)
        if sign == b'"':
            self._in_string = True
            self._held += sign
        elif sign in b"[{":
            self._open(sign)
        elif sign in b"]}":
            self._close(sign, out)
        elif self._depth == self._base:
            self._finish(out)
        else:
            self._held += sign

    def _open(self, sign: bytes) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RemoteProtocolError(f"the JSON array is nested deeper than {_MAX_DEPTH} levels")
        if self._depth > self._base:
            self._held += sign

    def _close(self, sign: bytes, out: list[Event | Comment]) -> None:
        self._depth -= 1
        if self._depth < self._base:
            self._finish(out)
            self._depth, self._closed = 0, True
            return
        self._held += sign
        if self._depth == self._base:
            self._finish(out)

    def _hold(self, data: bytes) -> None:
        if self._closed and data.strip(_SPACE):
            raise RemoteProtocolError("there is data after the end of the JSON array")
        if self._depth >= self._base and (self._held or data.strip(_SPACE)):
            self._held += data

    def _finish(self, out: list[Event | Comment]) -> None:
        text = bytes(self._held).strip(_SPACE).decode("utf-8", "replace")
        self._held.clear()
        if text:
            out.append(Event(text))
