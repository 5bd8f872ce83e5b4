"""Inspection of a request body, in short steps, for members that affect its handling. No I/O."""

from __future__ import annotations

import codecs
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undam.errors import RemoteProtocolError
from undam.gateway.body.json_scanner import SEGMENT_BYTES, JsonScanner, Opaque, Scalar

if TYPE_CHECKING:
    from undam.wire.content_coding import ContentDecoder

# A request that sets one of these members changes data on the server.
_CONVERSATION = "conversation"
_SIDE_EFFECTS = ("store", "background", _CONVERSATION)
_USER, _CACHE_KEY = "user", "prompt_cache_key"
_WANTED = frozenset({"model", "stream", _USER, _CACHE_KEY, *_SIDE_EFFECTS})
_TEXTS = frozenset({"messages", "input", "prompt", "system", "instructions"})
_MODEL_CHARS = 200
# Limit on the decompressed size, because a short compressed body can expand to a very large one.
# Data beyond the limit is not inspected.
_MAX_DECODED_BYTES = 64 << 20


@dataclass(slots=True)
class BodyFields:
    """Members of a request body that affect how the request is handled.

    Args:
        is_object: the body is a JSON object.
        readable: the body was decoded, whether or not it is JSON.
        side_effects: the request changes something on the server, so it must not be repeated.
        user: value of ``user``.
        cache_key: value of ``prompt_cache_key``, or else the name of a stored conversation.
        prefix_hash: checksum of the beginning of the conversation; 0 if there is none.
        model_span: start and end of the value of ``model`` in a body without a content coding.
    """

    is_object: bool = False
    readable: bool = True
    model: str = ""
    streams: bool = False
    side_effects: bool = False
    user: str = ""
    cache_key: str = ""
    prefix_hash: int = 0
    model_span: tuple[int, int] | None = None


class BodyInspection:
    """Inspection of one request body, in short steps.

    Args:
        content_encoding: value of the Content-Encoding header; empty if there is none.
    """

    __slots__ = ("_decoder", "_failed", "_scanner", "_segments", "_started", "_text_decoder",
                 "_unread")  # fmt: skip

    def __init__(self, content_encoding: bytes = b"") -> None:
        self._scanner = JsonScanner(_WANTED, _TEXTS)
        self._unread: deque[bytes] = deque()
        self._segments: Iterator[bytes] | None = None
        self._decoder: ContentDecoder | None = None
        self._text_decoder: codecs.IncrementalDecoder | None = None
        self._started = False
        self._failed = False
        if content_encoding.strip().lower() not in (b"", b"identity"):
            try:
                self._decoder = _content_decoder(content_encoding)
            except RemoteProtocolError:
                self._failed = True

    @property
    def pending(self) -> bool:
        """True if `step` must be called again."""
        return not (self._failed or self._scanner.failed) and (
            self._segments is not None or bool(self._unread)
        )

    @property
    def fields(self) -> BodyFields:
        """The members found so far."""
        members, scanner = self._scanner.members, self._scanner
        return BodyFields(
            readable=not self._failed,
            model=_text(members.get("model"))[:_MODEL_CHARS],
            streams=members.get("stream") is True,
            side_effects=any(map(members.get, _SIDE_EFFECTS)),
            user=_text(members.get(_USER)),
            # The requests of a stored conversation contain only its new items.
            cache_key=_text(members.get(_CACHE_KEY)) or _text(members.get(_CONVERSATION)),
            prefix_hash=scanner.prefix_hash,
            model_span=None if self._encoded else scanner.spans.get("model"),
        )

    @property
    def _encoded(self) -> bool:
        return self._decoder is not None or self._text_decoder is not None

    def add(self, data: bytes) -> None:
        """Add the next part of the body."""
        if data and not (self._failed or self._scanner.failed):
            self._unread.append(data)

    def step(self) -> bool:
        """Inspect at most `SEGMENT_BYTES`, and return `pending`."""
        try:
            self._step()
        except (RemoteProtocolError, ValueError):
            self._failed = True
        if not self.pending:
            self._unread.clear()
        return self.pending

    def finish(self) -> BodyFields:
        """Return the members of a body that is complete and fully inspected."""
        is_object = not self._failed and self._scanner.finish()
        fields = self.fields
        fields.is_object = is_object
        return fields

    def _step(self) -> None:
        if self._segments is None:
            if self._unread:
                self._segments = _segments_of(self._decoder, self._unread.popleft())
            return
        segment = next(self._segments, None)
        if segment is None:
            self._segments = None
            return
        if not self._started:
            self._started = True
            encoding = json.detect_encoding(segment)
            if not encoding.startswith("utf-8"):
                self._text_decoder = codecs.getincrementaldecoder(encoding)()
        if self._text_decoder is not None:
            segment = self._text_decoder.decode(segment).encode()
        self._scanner.feed(segment)


def _segments_of(decoder: ContentDecoder | None, data: bytes) -> Iterator[bytes]:
    """Yield the decoded form of ``data`` in segments of at most `SEGMENT_BYTES`."""
    for piece in (data,) if decoder is None else decoder.receive_data(data):
        for at in range(0, len(piece), SEGMENT_BYTES):
            yield piece[at : at + SEGMENT_BYTES]


def _content_decoder(content_encoding: bytes) -> ContentDecoder:
    from undam.wire.content_coding import ContentDecoder  # noqa: PLC0415 (loads brotli and zstd)

    codings = content_encoding.decode("latin-1").lower().split(",")
    return ContentDecoder([one.strip() for one in codings], max_bytes=_MAX_DECODED_BYTES)


def _text(value: Scalar | Opaque) -> str:
    return value if isinstance(value, str) else ""
