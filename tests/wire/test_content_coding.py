"""Incremental, bounded decoding of content codings, with errors for invalid data."""

from __future__ import annotations

import gzip
import itertools
import random
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.wire.content_coding import BodyTooLargeError, ContentDecoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


ENCODERS: dict[tuple[str, str], Callable[[bytes], bytes]] = {
    ("gzip", "gzip"): gzip.compress,
    ("gzip of two members", "gzip"): lambda d: gzip.compress(d[:5]) + gzip.compress(d[5:]),
    ("x-gzip", "x-gzip"): gzip.compress,
    ("deflate as zlib", "deflate"): zlib.compress,
    ("deflate as raw", "deflate"): raw_deflate,
    ("br", "br"): brotli.compress,
    ("zstd", "zstd"): zstd.compress,
    ("zstd of two frames", "zstd"): lambda d: zstd.compress(d[:5]) + zstd.compress(d[5:]),
}
KINDS = list(ENCODERS)
TEXT = b"data: a token and more of the same\n\n" * 50
LARGE = random.Random(1).randbytes(200_000) + bytes(300_000)


def decode(decoder: ContentDecoder, pieces: list[bytes]) -> bytes:
    return b"".join(b"".join(decoder.receive_data(piece)) for piece in pieces)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize("data", [b"", b"x", TEXT, LARGE], ids=["empty", "byte", "text", "large"])
def test_data_is_decoded_in_pieces_of_any_size(kind: tuple[str, str], data: bytes) -> None:
    coded = ENCODERS[kind](data)
    size = 1 if len(coded) < 10_000 else 4099
    for pieces in ([coded], [coded[i : i + size] for i in range(0, len(coded), size)]):
        decoder = ContentDecoder([kind[1]], max_bytes=len(data))
        assert decode(decoder, pieces) == data
        assert decoder.unfinished is None


@given(
    st.lists(st.sampled_from(KINDS), max_size=3),
    st.binary(max_size=3000),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_combined_codings_are_decoded(
    kinds: list[tuple[str, str]], data: bytes, cuts: list[int]
) -> None:
    coded = data
    for kind in kinds:
        coded = ENCODERS[kind](coded)
    decoder = ContentDecoder([name for _, name in kinds], max_bytes=1 << 20)
    assert decode(decoder, cut(coded, cuts)) == data


def flushed(name: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    if name == "br":
        br = brotli.Compressor()
        return lambda d: br.process(d) + br.flush(), br.finish
    if name == "zstd":
        zs = zstd.ZstdCompressor()
        return lambda d: zs.compress(d, zs.FLUSH_BLOCK), zs.flush
    wbits = {"gzip": 31, "deflate": 15}[name]
    deflate = zlib.compressobj(wbits=wbits)
    return lambda d: deflate.compress(d) + deflate.flush(zlib.Z_SYNC_FLUSH), deflate.flush


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_flushed_data_is_decoded_at_once(name: str) -> None:
    encode, finish = flushed(name)
    decoder = ContentDecoder([name], max_bytes=1 << 20)
    for number in range(100):
        event = b'data: {"token": %d}\n\n' % number
        assert decode(decoder, [encode(event)]) == event
        assert decoder.unfinished == name
    assert decode(decoder, [finish()]) == b""
    assert decoder.unfinished is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_a_truncated_coding_is_unfinished(kind: tuple[str, str]) -> None:
    decoder = ContentDecoder([kind[1]], max_bytes=1 << 20)
    assert decoder.unfinished is None
    decode(decoder, [ENCODERS[kind](TEXT)[:-1]])
    assert decoder.unfinished == kind[1]


def test_one_byte_of_deflate_is_unfinished() -> None:
    decoder = ContentDecoder(["deflate"], max_bytes=10)
    assert decode(decoder, [b"\x78"]) == b""
    assert decoder.unfinished == "deflate"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_a_decompression_bomb_stops_at_the_bound(kind: tuple[str, str]) -> None:
    bomb = ENCODERS[kind](bytes(30_000_000))
    assert len(bomb) < 40_000
    decoder = ContentDecoder([kind[1]], max_bytes=100_000)
    sizes: list[int] = []
    with pytest.raises(BodyTooLargeError, match="larger than 100000 bytes"):
        sizes.extend(len(piece) for piece in decoder.receive_data(bomb))
    assert sum(sizes) == 100_000
    assert max(sizes) <= 65536


def test_a_zstd_window_of_more_than_8_mb_is_rejected() -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    encoder = zstd.ZstdCompressor(options={int(key): value for key, value in options.items()})
    coded = encoder.compress(TEXT, encoder.FLUSH_BLOCK)
    with pytest.raises(RemoteProtocolError, match=r"the body is not valid zstd data: .*memory"):
        decode(ContentDecoder(["zstd"], max_bytes=1 << 20), [coded])


def test_a_nested_decompression_bomb_stops_at_the_bound() -> None:
    # The inner coding consists of many empty 20-byte gzip members, which decode to nothing.
    hidden = gzip.compress(gzip.compress(b"") * 50_000)
    decoder = ContentDecoder(["gzip", "gzip"], max_bytes=100_000)
    with pytest.raises(BodyTooLargeError):
        decode(decoder, [hidden])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize("end", ["garbage", "trailing"])
def test_invalid_data_is_reported_with_the_coding(kind: tuple[str, str], end: str) -> None:
    data = b"\xff<html>\xff" * 5 if end == "garbage" else ENCODERS[kind](TEXT) + b"<html>\xff\xff"
    decoder = ContentDecoder([kind[1]], max_bytes=1 << 20)
    with pytest.raises(RemoteProtocolError, match=f"the body is not valid {kind[1]} data: ."):
        decode(decoder, [data[:30], data[30:]])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_bytes_after_the_end_are_invalid(kind: tuple[str, str]) -> None:
    decoder = ContentDecoder([kind[1]], max_bytes=1 << 20)
    assert decode(decoder, [ENCODERS[kind](TEXT)]) == TEXT
    with pytest.raises(RemoteProtocolError, match="is not valid"):
        decode(decoder, [b"<html>"])


def test_an_unknown_coding_is_reported_with_the_supported_ones() -> None:
    with pytest.raises(RemoteProtocolError, match=r"unknown content coding 'compress'.*gzip.*zstd"):
        ContentDecoder(["gzip", "compress"], max_bytes=1)


def test_identity_is_ignored() -> None:
    decoder = ContentDecoder(["identity"], max_bytes=1)
    assert decoder.names == ()
    assert decode(decoder, [b"abc"]) == b"abc"


def test_too_many_codings_are_rejected() -> None:
    with pytest.raises(RemoteProtocolError, match="4 content codings"):
        ContentDecoder(["gzip"] * 4, max_bytes=1)
