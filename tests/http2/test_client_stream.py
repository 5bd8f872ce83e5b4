"""One HTTP/2 stream: order of heads, content and trailers, and the Content-Length."""

from __future__ import annotations

import pytest

from undam.errors import RemoteProtocolError
from undam.http2.client_stream import ClientStream

OK = (":status", "200")


def _stream(*fields: tuple[str, str], is_head: bool = False) -> ClientStream:
    """Return a stream that has received a response head with these fields."""
    stream = ClientStream(1, b"", is_head=is_head)
    assert stream.receive_fields((OK, *fields), ended=False) == "response"
    return stream


def test_interim_heads_precede_the_head_and_trailers_follow_it() -> None:
    stream = ClientStream(1, b"", is_head=False)
    for status in ("100", "103"):
        assert stream.receive_fields(((":status", status),), ended=False) == "interim"
    assert stream.receive_fields((OK,), ended=False) == "response"
    assert stream.receive_fields((("grpc-status", "0"),), ended=True) == "trailers"


def test_a_head_without_a_status_is_a_response() -> None:
    # The code that reads the response reports the missing status.
    stream = ClientStream(1, b"", is_head=False)
    fields = ((":other", "1"), ("name", "value"), (":status", "100"))
    assert stream.receive_fields(fields, ended=False) == "response"


def test_an_interim_head_must_not_end_the_stream_or_follow_the_head() -> None:
    stream = ClientStream(1, b"", is_head=False)
    interim = ((":status", "103"),)
    with pytest.raises(RemoteProtocolError, match="interim head"):
        stream.receive_fields(interim, ended=True)
    with pytest.raises(RemoteProtocolError, match="interim head"):
        _stream().receive_fields(interim, ended=False)


def test_trailers_must_end_the_stream() -> None:
    with pytest.raises(RemoteProtocolError, match="trailers do not end"):
        _stream().receive_fields((("a", "b"),), ended=False)


def test_content_must_not_precede_the_head() -> None:
    stream = ClientStream(1, b"", is_head=False)
    with pytest.raises(RemoteProtocolError, match="DATA precedes"):
        stream.receive_content(1, ended=False)
    stream.receive_fields(((":status", "103"),), ended=False)
    with pytest.raises(RemoteProtocolError, match="DATA precedes"):
        stream.receive_content(1, ended=False)


def test_content_of_the_declared_length() -> None:
    stream = _stream(("content-length", "5"), ("content-length", "5"))
    stream.receive_content(3, ended=False)
    stream.receive_content(2, ended=False)
    stream.receive_content(0, ended=True)
    with pytest.raises(RemoteProtocolError, match=r"Content-Length is 5, but .* 6 bytes"):
        stream.receive_content(1, ended=False)


@pytest.mark.parametrize(("size", "ended"), [(6, False), (6, True), (4, True), (0, True)])
def test_content_of_another_length_is_rejected(size: int, ended: bool) -> None:
    with pytest.raises(RemoteProtocolError, match=f"Content-Length is 5, but .* {size} bytes"):
        _stream(("content-length", "5")).receive_content(size, ended=ended)


def test_content_before_trailers_has_the_declared_length() -> None:
    stream = _stream(("content-length", "5"))
    stream.receive_content(4, ended=False)
    with pytest.raises(RemoteProtocolError, match="Content-Length is 5,"):
        stream.receive_fields((("a", "b"),), ended=True)


def test_the_content_length_of_a_response_without_content_is_not_compared() -> None:
    stream = ClientStream(1, b"", is_head=False)
    head = ((":status", "304"), ("content-length", "5"))
    assert stream.receive_fields(head, ended=True) == "response"


def test_the_response_to_head_has_no_content() -> None:
    stream = _stream(("content-length", "5"), is_head=True)
    stream.receive_content(0, ended=True)
    with pytest.raises(RemoteProtocolError, match="Content-Length is 0,"):
        _stream(("content-length", "5"), is_head=True).receive_content(5, ended=True)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "²", "1" * 19, "5 "])
def test_an_invalid_content_length_is_rejected(value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Content-Length is invalid"):
        _stream(("content-length", value))


def test_different_content_lengths_are_rejected() -> None:
    with pytest.raises(RemoteProtocolError, match="different Content-Lengths"):
        _stream(("content-length", "5"), ("content-length", "6"))
    _stream(("content-length", "5"), ("content-length", "05"))
