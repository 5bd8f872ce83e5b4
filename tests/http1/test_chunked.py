"""Chunked coding: the encoder and the decoder agree, however the bytes are split into reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.http1.chunked import LAST_CHUNK, ChunkedDecoder, encode_chunk


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50))
def test_encoded_bytes_are_decoded_whatever_the_cuts(pieces: list[bytes], size: int) -> None:
    data = b"".join(map(encode_chunk, pieces)) + LAST_CHUNK + b"next"
    decoder, body, rest, complete = ChunkedDecoder(), b"", b"", False
    at = 0
    while not complete:
        rest += data[at : at + size]
        at += size
        piece, rest, complete = decoder.decode(rest)
        body += piece
    assert body == b"".join(pieces)
    assert rest + data[at:] == b"next"


@pytest.mark.parametrize("size", [1, 2, 100])
def test_extensions_and_trailers_are_dropped(size: int) -> None:
    data = b"3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
    decoder, body, rest, complete = ChunkedDecoder(), b"", b"", False
    for at in range(0, len(data), size):
        assert not complete
        piece, rest, complete = decoder.decode(rest + data[at : at + size])
        body += piece
    assert (body, rest, complete) == (b"abc", b"", True)


def test_an_unfinished_trailer_with_a_bare_line_feed_is_rejected() -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"0\r\n") == (b"", b"", False)
    with pytest.raises(RemoteProtocolError, match="trailer is malformed"):
        decoder.decode(b"A: b\n")
