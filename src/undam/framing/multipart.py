"""Multipart bodies that are written part by part (RFC 2046, section 5.1)."""

from __future__ import annotations

import json

from undam.framing.buffered import BufferedDecoder
from undam.sse import Comment, Event

# Parsing an unfinished part is attempted once per read. These limits bound that work.
_MAX_JSON_BYTES = 8192
_MAX_ATTEMPTS = 16


class MultipartDecoder(BufferedDecoder):
    """Decoder for parts; a part is complete when the next delimiter arrives.

    The delimiter of a stream often arrives only with the next part. A part with a Content-Length is
    therefore complete with its last byte, and a small JSON part as soon as it parses.

    Args:
        boundary: boundary from the Content-Type; if empty, the first line of the body is used.
        max_event_bytes: maximum size of one part.
    """

    def __init__(self, boundary: str, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._delimiter: bytes = b"--" + boundary.encode() if boundary else b""
        self._searched = 0
        self._attempts = 0
        self._started = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether the closing delimiter has been read."""
        return self._closed

    @property
    def pending_bytes(self) -> int:
        """Return the size of the unfinished part in bytes."""
        return 0 if self._closed else len(bytes(self._held).strip())

    def _decode(self, data: bytes, out: list[Event | Comment]) -> None:
        if self._closed:
            return
        self._held += data
        if self._delimiter or self._find_delimiter():
            while self._next(out):
                pass
        self._check_size("part", out)

    def _find_delimiter(self) -> bool:
        end = self._held.find(b"\n")
        if end < 0:
            return False
        self._delimiter = bytes(self._held[:end]).strip()
        return True

    def _next(self, out: list[Event | Comment]) -> bool:
        """Consume one delimiter and the part before it; return whether another part may follow."""
        at = self._held.find(self._delimiter, self._searched)
        if at < 0:
            self._searched = max(0, len(self._held) - len(self._delimiter))
            return self._take_sized(out)
        end = at + len(self._delimiter)
        if len(self._held) < end + 2:
            self._searched = at
            return False
        if self._started:
            self._finish(bytes(self._held[:at]), out)
        self._started = True
        self._closed = self._held[end : end + 2] == b"--"
        del self._held[:end]
        self._searched = 0
        return not self._closed

    def _take_sized(self, out: list[Event | Comment]) -> bool:
        """Consume the next part if its Content-Length is reached, or if its body parses as JSON."""
        head, blank, body = bytes(self._held).lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not self._started or not blank:
            return False
        length = _content_length(head)
        if length is None and self._is_json(body):
            length = len(body)
        if length is None or len(body) < length:
            return False
        out.append(Event(body[:length].strip(b"\r\n").decode("utf-8", "replace")))
        self._held = bytearray(body[length:])
        self._searched, self._started, self._attempts = 0, False, 0
        return False

    def _is_json(self, body: bytes) -> bool:
        text = body.rstrip(b"\r\n")
        if not text.endswith((b"}", b"]")) or len(text) > _MAX_JSON_BYTES:
            return False
        self._attempts += 1
        if self._attempts > _MAX_ATTEMPTS:
            return False
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    @staticmethod
    def _finish(part: bytes, out: list[Event | Comment]) -> None:
        part = part.lstrip(b"\r\n")
        for blank in (b"\r\n\r\n", b"\n\n"):
            _, found, body = part.partition(blank)
            if found:
                part = body
                break
        text = part.strip(b"\r\n").decode("utf-8", "replace")
        if text:
            out.append(Event(text))


def _content_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        digits = value.strip()
        if name.strip().lower() == b"content-length" and digits.isdigit() and len(digits) < 10:
            return int(digits)
    return None
