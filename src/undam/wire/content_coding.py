"""Incremental decoding of content codings, without added delay and with a limit on the output."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import brotli

from undam.errors import RemoteProtocolError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Output is produced in pieces of this size, so that a decompression bomb exceeds the size limit
# before it exhausts memory.
_PIECE_BYTES = 65536
# Input is decoded in pieces of this size.
_INPUT_BYTES = 4096
# brotli may exceed this limit by up to one of its blocks (slightly below 32 KiB, 64 KiB, …).
_BROTLI_LIMIT_BYTES = 32000
# On the web, RFC 9659 limits the zstd window to 8 MB.
_ZSTD_WINDOW_LOG = 23
# Most bodies have one coding, and some have two. Each further coding multiplies the work that one
# hostile byte can cause.
_MAX_CODINGS = 3
_GZIP_WBITS = 16 + zlib.MAX_WBITS


class BodyTooLargeError(RemoteProtocolError):
    """The decoded body is larger than the size limit."""


class _Coding(Protocol):
    @property
    def unfinished(self) -> bool:
        """True if the coding or its last member has not ended."""
        ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded output for ``data``."""
        ...


class _Zlib:
    """Decoder for gzip and zlib. A gzip stream may have several members (RFC 1952 2.2)."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self.unfinished = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        # The remaining data is copied for each gzip member. Without this limit, many small members
        # in one long read would take quadratic time.
        for at in range(0, len(data), _INPUT_BYTES):
            yield from self._pieces(data[at : at + _INPUT_BYTES])

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:
                self._inflate = self._next_member()
            self.unfinished = True
            piece = self._inflate.decompress(data, _PIECE_BYTES)
            while piece:
                yield piece
                full = len(piece) == _PIECE_BYTES
                tail = self._inflate.unconsumed_tail
                # After a full piece, more output may be pending although all input was consumed.
                piece = self._inflate.decompress(tail, _PIECE_BYTES) if full or tail else b""
            if not self._inflate.eof:
                return
            self.unfinished = False
            data = self._inflate.unused_data

    def _next_member(self) -> zlib._Decompress:
        if self._wbits != _GZIP_WBITS:
            raise zlib.error("bytes after the end")
        return zlib.decompressobj(self._wbits)


class _Deflate:
    """Decoder for HTTP's "deflate": zlib (RFC 9110 8.4.1.2), or raw deflate sent by mistake."""

    def __init__(self) -> None:
        self._pending = b""
        self._coding: _Zlib | None = None

    @property
    def unfinished(self) -> bool:
        return bool(self._pending) if self._coding is None else self._coding.unfinished

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._coding is None:
            data, self._pending = self._pending + data, b""
            if len(data) < 2:
                self._pending = data
                return
            is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            self._coding = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        yield from self._coding.pieces(data)


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self.unfinished = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._decoder.is_finished():
            raise brotli.error("bytes after the end")
        piece = self._decoder.process(data, output_buffer_limit=_BROTLI_LIMIT_BYTES)
        while piece:
            yield piece
            # can_accept_more_data() cannot be used as the condition, because it is also true while
            # output is pending.
            piece = self._decoder.process(b"", output_buffer_limit=_BROTLI_LIMIT_BYTES)
        self.unfinished = not self._decoder.is_finished()


class _Zstd:
    """Decoder for zstd data with one or several frames (RFC 8878 3)."""

    def __init__(self) -> None:
        self._decoder = self._new()
        self.unfinished = False

    @staticmethod
    def _new() -> zstd.ZstdDecompressor:
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return zstd.ZstdDecompressor(options=options)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), _INPUT_BYTES):
            yield from self._pieces(data[at : at + _INPUT_BYTES])

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decoder.eof:
                self._decoder = self._new()
            self.unfinished = True
            piece = self._decoder.decompress(data, _PIECE_BYTES)
            while piece:
                yield piece
                more = not self._decoder.eof and not self._decoder.needs_input
                piece = self._decoder.decompress(b"", _PIECE_BYTES) if more else b""
            if not self._decoder.eof:
                return
            self.unfinished = False
            data = self._decoder.unused_data


_CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": lambda: _Zlib(_GZIP_WBITS),
    "x-gzip": lambda: _Zlib(_GZIP_WBITS),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
_ERRORS = (zlib.error, brotli.error, zstd.ZstdError)


class ContentDecoder:
    """Decoder for a body with several codings, listed in the order in which they were applied.

    Args:
        max_bytes: maximum size of the output of each coding.

    Raises:
        RemoteProtocolError: a coding is unknown, or there are too many.
    """

    def __init__(self, codings: Sequence[str], *, max_bytes: int) -> None:
        names = [name for name in codings if name != "identity"]
        for name in names:
            if name not in _CODINGS:
                raise RemoteProtocolError(
                    f"unknown content coding {name!a}; supported: {', '.join(_CODINGS)}"
                )
        if len(names) > _MAX_CODINGS:
            raise RemoteProtocolError(
                f"the body has {len(names)} content codings; at most {_MAX_CODINGS} are supported"
            )
        self.names = tuple(names)
        self._max_bytes = max_bytes
        self._stages = [_CODINGS[name]() for name in reversed(names)]
        self._left_bytes = [max_bytes] * len(names)

    @property
    def unfinished(self) -> str | None:
        """Name of a coding that has not ended; ``None`` if all have ended."""
        names = zip(reversed(self.names), self._stages, strict=True)
        return next((name for name, stage in names if stage.unfinished), None)

    def receive_data(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded output for ``data``; pieces have at most 64 KiB if there is a coding.

        Raises:
            BodyTooLargeError: the output exceeds ``max_bytes``; the bytes up to the limit have been
                yielded.
            RemoteProtocolError: the coded data is invalid; the message names the coding.
        """
        return self._decode(0, data)

    def _decode(self, index: int, data: bytes) -> Iterator[bytes]:
        if index == len(self._stages):
            yield data
            return
        try:
            for piece in self._stages[index].pieces(data):
                left = self._left_bytes[index]
                self._left_bytes[index] = left - len(piece)
                yield from self._decode(index + 1, piece[:left])
                if len(piece) > left:
                    raise BodyTooLargeError(f"the body is larger than {self._max_bytes} bytes")
        except _ERRORS as error:
            name = self.names[len(self.names) - 1 - index]
            reason = str(error).strip() or "bad data"
            raise RemoteProtocolError(f"the body is not valid {name} data: {reason}") from None
