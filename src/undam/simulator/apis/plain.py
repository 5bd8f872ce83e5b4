"""Answers of applications that speak no model's API: SSE with JSON, NDJSON, bare tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undam.simulator.apis.form import ResponseContext


class _Plain:
    """No opening and no closing: the framing alone says where the answer ends."""

    content_type = "text/event-stream; charset=utf-8"
    stamped = True
    terminator = b"\n\n"
    last = b""

    def __init__(self, answer: ResponseContext) -> None:
        self._answer = answer

    def opening(self) -> Sequence[bytes]:
        """Nothing."""
        return ()

    def closing(self, seq: int) -> Sequence[bytes]:
        """Nothing."""
        return ()

    def whole(self) -> Mapping[str, object]:
        """The text and the number of its tokens."""
        answer = self._answer
        return {"text": answer.text.beginning(answer.tokens), "tokens": answer.tokens}


class JsonEventFormat(_Plain):
    """/sse: one JSON object an event."""

    def content(self, text: bytes, seq: int) -> bytes:
        """``data: {"token": " word", …}``."""
        return b'data: {"token":"%b"' % text


class NdjsonFormat(_Plain):
    """/ndjson: one JSON object a line."""

    content_type = "application/x-ndjson"
    terminator = b"\n"

    def content(self, text: bytes, seq: int) -> bytes:
        """``{"token": " word", …}``."""
        return b'{"token":"%b"' % text


class TokenFormat(_Plain):
    """/v1/stream: ``data: token``, about twelve bytes an event.

    There is no room for a stamp: that an event is so small is the point of this form. Padding
    lengthens the token.
    """

    stamped = False

    def content(self, text: bytes, seq: int) -> bytes:
        """``data: `` and the token with its space."""
        return b"data: " + text
