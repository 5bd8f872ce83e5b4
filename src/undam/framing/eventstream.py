"""Decoding of application/vnd.amazon.eventstream messages. Both checksums are verified.

A message has a prelude (total length, header length, CRC-32 of these eight bytes), headers, a
payload, and a CRC-32 of everything before it. Source: Smithy, "Amazon Event Stream Specification".
"""

from __future__ import annotations

import codecs
from binascii import crc32
from collections.abc import Mapping

from undam.errors import RemoteProtocolError
from undam.framing.buffered import BufferedDecoder
from undam.sse import Comment, Event

_PRELUDE_BYTES = 12
_CRC_BYTES = 4
_STRING, _BYTES = 7, 6
# Sizes of fixed-length header values, by type code.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class EventStreamDecoder(BufferedDecoder):
    """Decoder for messages; an event's name is its ``:event-type`` or ``:exception-type``.

    SageMaker divides the bytes of a model server's response into messages of type `PayloadPart` at
    any place, so a character can begin in one message and end in the next.

    Args:
        max_event_bytes: maximum size of one message.
    """

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._part = codecs.getincrementaldecoder("utf-8")("replace")

    def _decode(self, data: bytes, out: list[Event | Comment]) -> None:
        self._held += data
        at = 0
        try:
            while (end := self._end_of_message(at, self._number(out))) is not None:
                out.append(self._event(bytes(self._held[at:end]), self._number(out)))
                at = end
        finally:
            del self._held[:at]

    def _end_of_message(self, at: int, number: int) -> int | None:
        if len(self._held) - at < _PRELUDE_BYTES:
            return None
        prelude = self._held[at : at + _PRELUDE_BYTES]
        total = int.from_bytes(prelude[:4], "big")
        if crc32(prelude[:8]) != int.from_bytes(prelude[8:], "big"):
            raise RemoteProtocolError(f"message {number} has a wrong prelude checksum")
        if total > self._max_bytes:
            raise RemoteProtocolError(f"message {number} is larger than {self._max_bytes} bytes")
        if total < _PRELUDE_BYTES + int.from_bytes(prelude[4:8], "big") + _CRC_BYTES:
            raise RemoteProtocolError(f"message {number} has an impossible length")
        return at + total if len(self._held) - at >= total else None

    def _event(self, message: bytes, number: int) -> Event:
        """Return the event parsed from a complete message.

        Raises:
            RemoteProtocolError: its checksum is wrong, or its headers are malformed.
        """
        if crc32(message[:-_CRC_BYTES]) != int.from_bytes(message[-_CRC_BYTES:], "big"):
            raise RemoteProtocolError(f"message {number} has a wrong checksum")
        split = _PRELUDE_BYTES + int.from_bytes(message[4:8], "big")
        headers = _headers(message[_PRELUDE_BYTES:split], number)
        name = headers.get(":event-type") or headers.get(":exception-type") or "message"
        if headers.get(":message-type") in {"exception", "error"}:
            name = headers.get(":exception-type") or headers.get(":error-code") or "exception"
        payload = message[split:-_CRC_BYTES]
        if name == "PayloadPart":
            return Event(self._part.decode(payload), name)
        return Event(payload.decode("utf-8", "replace"), name)


def _headers(data: bytes, number: int) -> Mapping[str, str]:
    """Return the string headers of a message; headers of other types are skipped."""
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode("utf-8", "replace"), data[name_end]
            at = name_end + 1
            if kind in {_STRING, _BYTES}:
                size = int.from_bytes(data[at : at + 2], "big")
                value = data[at + 2 : at + 2 + size]
                at += 2 + size
                if kind == _STRING:
                    found[name] = value.decode("utf-8", "replace")
            else:
                at += _FIXED[kind]
    except (IndexError, KeyError):
        raise RemoteProtocolError(f"message {number} has malformed headers") from None
    return found
