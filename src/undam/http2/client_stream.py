"""One open stream of a client: checks on the order of its frames and the length of its content."""

from __future__ import annotations

from typing import Literal

from undam.http2.frames import violation

HeadKind = Literal["interim", "response", "trailers"]

# A length with more digits would exceed any real content.
_MAX_LENGTH_DIGITS = 18


class ClientStream:
    """A stream whose response has not ended.

    Attributes:
        body: content of the request.
        sent_bytes: how much of ``body`` was sent.
        credit_bytes: what the server has added to the initial window of the stream, less
            ``sent_bytes``.
        used_bytes: received bytes for which the window was not opened again.
    """

    __slots__ = (
        "_content_bytes",
        "_expected_bytes",
        "_has_head",
        "_is_head",
        "body",
        "credit_bytes",
        "sent_bytes",
        "stream_id",
        "used_bytes",
    )

    def __init__(self, stream_id: int, body: bytes, *, is_head: bool) -> None:
        self.stream_id = stream_id
        self.body = body
        self.sent_bytes = 0
        self.credit_bytes = 0
        self.used_bytes = 0
        self._is_head = is_head
        self._has_head = False
        self._content_bytes = 0
        self._expected_bytes: int | None = None

    def receive_fields(self, fields: tuple[tuple[str, str], ...], *, ended: bool) -> HeadKind:
        """Return the kind of the fields: interim head, final head or trailers.

        Raises:
            RemoteProtocolError: they are not allowed now, or a Content-Length is invalid.
        """
        if _is_interim(fields):
            if self._has_head or ended:
                raise violation("an interim head follows the final head or ends the stream")
            return "interim"
        if self._has_head:
            if not ended:
                raise violation("trailers do not end the stream")
            self._check_length(ended=True)
            return "trailers"
        self._has_head = True
        # The Content-Length of a response to HEAD is the length that GET would return.
        self._expected_bytes = 0 if self._is_head else _content_length(fields)
        return "response"

    def receive_content(self, size: int, *, ended: bool) -> None:
        """Count received content and check it against the Content-Length.

        Raises:
            RemoteProtocolError: it precedes the head, or contradicts the Content-Length.
        """
        if not self._has_head:
            raise violation("DATA precedes the response head")
        self._content_bytes += size
        if self._expected_bytes is not None:
            self._check_length(ended=ended)

    def _check_length(self, *, ended: bool) -> None:
        expected, received = self._expected_bytes, self._content_bytes
        if expected is not None and (received > expected or (ended and received < expected)):
            raise violation(f"Content-Length is {expected}, but the content has {received} bytes")


def _is_interim(fields: tuple[tuple[str, str], ...]) -> bool:
    for name, value in fields:
        if name == ":status":
            return value.startswith("1")
        if not name.startswith(":"):
            break
    return False


def _content_length(fields: tuple[tuple[str, str], ...]) -> int | None:
    lengths = {value for name, value in fields if name == "content-length"}
    for value in lengths:
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS):
            raise violation(f"Content-Length is invalid: {value[:40]!r}")
    sizes = {int(value) for value in lengths}
    if len(sizes) > 1:
        raise violation("the response has different Content-Lengths")
    return next(iter(sizes), None)
