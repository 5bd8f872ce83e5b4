"""Base class for decoders that keep the bytes of an unfinished event."""

from __future__ import annotations

from abc import ABC, abstractmethod

from undam.errors import RemoteProtocolError
from undam.sse import Comment, Event


class BufferedDecoder(ABC):
    """Decoder whose first error is final: later calls raise the same error.

    Args:
        max_event_bytes: maximum size of one event.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_bytes = max_event_bytes
        self._held = bytearray()
        self._failure = ""
        self._count = 0

    @property
    def pending_bytes(self) -> int:
        """Return the size of the unfinished event in bytes."""
        return len(self._held)

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """See `framing.decoder.Decoder`."""
        if self._failure:
            raise RemoteProtocolError(self._failure)
        out: list[Event | Comment] = []
        try:
            self._decode(data, out)
        except RemoteProtocolError as error:
            self._failure = str(error)
            if not out:
                raise
        self._count += len(out)
        return out

    def receive_eof(self) -> list[Event | Comment]:
        """Return nothing: an unfinished event stays in ``pending_bytes``.

        Raises:
            RemoteProtocolError: as ``receive_data``.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        return []

    @abstractmethod
    def _decode(self, data: bytes, out: list[Event | Comment]) -> None:
        """Append to ``out`` the events that ``data`` completes.

        Raises:
            RemoteProtocolError: the bytes after the last event in ``out`` break the framing.
        """

    def _number(self, out: list[Event | Comment]) -> int:
        """Return the number of the unfinished event, counted from 1."""
        return self._count + len(out) + 1

    def _check_size(self, kind: str, out: list[Event | Comment]) -> None:
        """Raise an error that names ``kind`` if the unfinished event is too large."""
        if len(self._held) > self._max_bytes:
            number = self._number(out)
            raise RemoteProtocolError(f"{kind} {number} is larger than {self._max_bytes} bytes")
