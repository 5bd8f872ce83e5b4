"""Messages of application/vnd.amazon.eventstream, with both checksums verified.

A message has a prelude (total length, header length, CRC-32 of these eight bytes), headers, a
payload, and a CRC-32 of everything before it. Source: Smithy, "Amazon Event Stream Specification".
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Mapping

from undam.errors import RemoteProtocolError
from undam.sse import Comment, Event

_PRELUDE_BYTES = 12
_CRC_BYTES = 4
_STRING, _BYTES = 7, 6
# Sizes of fixed-length header values, by type code.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class EventStreamDecoder:
    """Decodes messages into events; the event name is ``:event-type`` or ``:exception-type``.

    Args:
        max_event_bytes: maximum size of one message.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_bytes = max_event_bytes
        self._held = bytearray()
        self._failure = ""
        self._count = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of the unfinished message."""
        return len(self._held)

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        if self._failure:
            raise RemoteProtocolError(self._failure)
        self._held += data
        out: list[Event | Comment] = []
        at = 0
        try:
            while (end := self._end_of_message(at)) is not None:
                out.append(self._message(bytes(self._held[at:end])))
                at = end
        except RemoteProtocolError as error:
            self._failure = str(error)
            if not out:
                raise
        del self._held[:at]
        return out

    def receive_eof(self) -> list[Event | Comment]:
        """Return nothing: an unfinished message stays in ``pending_bytes``.

        Raises:
            RemoteProtocolError: as ``receive_data``.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        return []

    def _end_of_message(self, at: int) -> int | None:
        if len(self._held) - at < _PRELUDE_BYTES:
            return None
        prelude = self._held[at : at + _PRELUDE_BYTES]
        total = int.from_bytes(prelude[:4], "big")
        if crc32(prelude[:8]) != int.from_bytes(prelude[8:], "big"):
            raise RemoteProtocolError(f"message {self._count + 1} has a wrong prelude checksum")
        if total > self._max_bytes:
            raise RemoteProtocolError(
                f"message {self._count + 1} is larger than {self._max_bytes} bytes"
            )
        if total < _PRELUDE_BYTES + int.from_bytes(prelude[4:8], "big") + _CRC_BYTES:
            raise RemoteProtocolError(f"message {self._count + 1} has an impossible length")
        return at + total if len(self._held) - at >= total else None

    def _message(self, message: bytes) -> Event:
        self._count += 1
        if crc32(message[:-_CRC_BYTES]) != int.from_bytes(message[-_CRC_BYTES:], "big"):
            raise RemoteProtocolError(f"message {self._count} has a wrong checksum")
        split = _PRELUDE_BYTES + int.from_bytes(message[4:8], "big")
        headers = _headers(message[_PRELUDE_BYTES:split], self._count)
        name = headers.get(":event-type") or headers.get(":exception-type") or "message"
        if headers.get(":message-type") in {"exception", "error"}:
            name = headers.get(":exception-type") or headers.get(":error-code") or "exception"
        return Event(message[split:-_CRC_BYTES].decode("utf-8", "replace"), name)


def _headers(data: bytes, number: int) -> Mapping[str, str]:
    """Return the string headers of a message; other types are skipped."""
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
