"""Response formats for applications without a model API: JSON over SSE, NDJSON, plain tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undam.simulator.apis.response_format import ResponseContext


class _Plain:
    """Format without opening and closing events; only the framing marks the end."""

    content_type = "text/event-stream; charset=utf-8"
    stamped = True
    terminator = b"\n\n"
    last = b""
    wrap = None

    def __init__(self, answer: ResponseContext) -> None:
        self._answer = answer

    def opening(self) -> Sequence[bytes]:
        """Return nothing."""
        return ()

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return nothing."""
        return ()

    def whole(self) -> Mapping[str, object]:
        """Return the whole answer and its number of tokens."""
        answer = self._answer
        return {"text": answer.text.prefix(answer.tokens), "tokens": answer.tokens}


class JsonEventFormat(_Plain):
    """Format for /sse: one JSON object per event."""

    def content(self, text: bytes, seq: int) -> bytes:
        """Return ``data: {"token": " word", …}``."""
        return b'data: {"token":"%b"' % text


class NdjsonFormat(_Plain):
    """Format for /ndjson: one JSON object per line."""

    content_type = "application/x-ndjson"
    terminator = b"\n"

    def content(self, text: bytes, seq: int) -> bytes:
        """Return ``{"token": " word", …}``."""
        return b'{"token":"%b"' % text


class TokenFormat(_Plain):
    """Format for /v1/stream: ``data: token``, about twelve bytes per event.

    Events have no stamp, which keeps them this small. Padding lengthens the token.
    """

    stamped = False

    def content(self, text: bytes, seq: int) -> bytes:
        """Return ``data: `` and the token, including its leading space."""
        return b"data: " + text
