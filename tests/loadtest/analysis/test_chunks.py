"""The chunk decoder gives the same results as llhttp for any body and any split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.loadtest.analysis.chunks import ResponseChunkDecoder
from undam.wire.response import ResponseParser

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.sampled_from(
        [b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"", b"zz\r\n", b"0;x=y\r\n\r\n", b"00\r\n\r\n",
         b"5 \r\nabcde\r\n0\r\n\r\n", b"+5\r\nabcde\r\n", b"5\nabcde\n", b"0\r\n\r\nHTTP/1.1 "]
    ),
    st.sampled_from([b"%x", b"%X", b"%04x", b"%x;ext=1"]),
    st.lists(st.integers(0, 600), max_size=10),
)  # fmt: skip
@example([b"x"], b"0\r\n\r\n", b"%x", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_chunks_decode_as_with_llhttp(
    bodies: list[bytes], end: bytes, size: bytes, cuts: list[int]
) -> None:
    data = b"".join(size % len(body) + b"\r\n" + body + b"\r\n" for body in bodies) + end
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reads = [data[a:b] for a, b in pairwise(edges) if a < b]
    parser, decoder = ResponseParser(), ResponseChunkDecoder()
    parser.receive_data(HEAD)
    for read in reads:
        fault = decoder_fault = None
        try:
            expected = b"".join(parser.receive_data(read))
        except RemoteProtocolError as error:
            fault, expected = str(error), b"".join(parser.take_body())
        try:
            got = decoder.receive_data(read)
        except RemoteProtocolError as error:
            decoder_fault, got = str(error), decoder.rest()
        assert (got, decoder_fault, decoder.complete) == (expected, fault, parser.complete)
        if fault is not None:
            break
