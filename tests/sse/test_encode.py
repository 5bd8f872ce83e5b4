"""The SSE encoder: output, rejected input, and round trips through the parser."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undam.errors import LocalProtocolError
from undam.sse import (
    Comment,
    Event,
    Parser,
    ReconnectHint,
    encode,
    encode_comment,
    encode_event,
    encode_hint,
)

# Generates all code points, including lone surrogates; line ends occur more often than at random.
_CHARACTERS = st.one_of(
    st.characters(), st.sampled_from("\r\n\u2028\u2029\x85\x0b\0\ufeff\ud800\udc00: ")
)
_TEXT = st.text(_CHARACTERS)
_ONE_LINE = _TEXT.map(lambda text: re.sub("[\r\n\0]", "", text))


def _arrives(text: str) -> str:
    """Encode ``text`` as an event stream, and return the text that a reader receives."""
    text = re.sub("\r\n|\r", "\n", text)
    text = re.sub("[\ud800-\udbff][\udc00-\udfff]", lambda pair: _join(pair[0]), text)
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _join(pair: str) -> str:
    return chr(0x10000 + ((ord(pair[0]) - 0xD800) << 10) + (ord(pair[1]) - 0xDC00))


@pytest.mark.seconds
@given(_TEXT)
@example("")
@example("\n")
@example("\r\n\r")
@example("a\n\nevent: x\n\nid: 1")
@example("\ud83d\udc0e")
@example("\udc0e\ud83d")
@example("\ufeff")
def test_data_round_trips(data: str) -> None:
    assert Parser().receive_data(encode(data)) == [Event(_arrives(data))]


@given(_TEXT, _ONE_LINE, _ONE_LINE, st.none() | st.integers(0, 10**15 - 1))
def test_all_fields_round_trip(data: str, event: str, id_: str, retry_ms: int | None) -> None:
    parser = Parser()
    wire = encode(data, event=event, id=id_, retry_ms=retry_ms)
    assert parser.receive_data(wire) == [
        Event(_arrives(data), _arrives(event) or "message", _arrives(id_))
    ]
    assert parser.retry_ms == retry_ms
    assert parser.pending_bytes == 0


@given(_TEXT, _ONE_LINE, _ONE_LINE)
def test_output_is_valid_utf8(data: str, event: str, id_: str) -> None:
    assert encode(data, event=event, id=id_).decode("utf-8", "strict").endswith("\n\n")
    assert encode_comment(data).decode("utf-8", "strict").endswith("\n")


@given(_TEXT, _ONE_LINE, _ONE_LINE)
def test_encode_event_round_trips(data: str, event: str, id_: str) -> None:
    arrived = Event(_arrives(data), _arrives(event) or "message", _arrives(id_))
    assert Parser().receive_data(encode_event(arrived)) == [arrived]


@given(_TEXT, st.booleans())
@example("a\n\ndata: x\n\n", False)
def test_comment_text_cannot_inject_events(text: str, blank_line: bool) -> None:
    parser = Parser()
    parsed = parser.receive_data(encode_comment(text, blank_line=blank_line))
    assert parsed == [Comment(line) for line in _arrives(text).split("\n")]
    assert parser.pending_bytes == 0


def test_output_bytes() -> None:
    assert encode("a") == b"data: a\n\n"
    assert encode("") == b"data: \n\n"
    assert encode("a\r\nb\rc\nd") == b"data: a\ndata: b\ndata: c\ndata: d\n\n"
    assert encode("a", event="e", id="1", retry_ms=0) == b"event: e\nid: 1\nretry: 0\ndata: a\n\n"
    assert encode("a", event="", id="") == b"id: \ndata: a\n\n"
    assert encode("a\u2028b") == "data: a\u2028b\n\n".encode()
    assert encode_event(Event("a")) == b"data: a\n\n"
    assert encode_event(Event("a", "e", "1")) == b"event: e\nid: 1\ndata: a\n\n"
    assert encode_comment("c") == b": c\n"
    assert encode_comment("c\r\nd") == b": c\n: d\n"
    assert encode_comment("c", blank_line=True) == b": c\n\n"


def test_surrogate_pairs_are_joined_and_lone_ones_replaced() -> None:
    assert encode("\ud83d\udc0e") == "data: \U0001f40e\n\n".encode()
    assert encode("a\ud83db") == "data: a\ufffdb\n\n".encode()
    assert encode('{"text": "\\ud83d"}') == b'data: {"text": "\\ud83d"}\n\n'


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("field", ["event", "id"])
def test_line_end_in_event_or_id_is_rejected(field: str, end: str) -> None:
    for value in (end, f"a{end}data: injected", f"{end}a", f"a{end}"):
        with pytest.raises(LocalProtocolError, match=f"^{field} contains a line break"):
            encode("a", **{field: value})  # type: ignore[arg-type]


def test_nul_in_id_is_rejected() -> None:
    with pytest.raises(LocalProtocolError, match="NUL"):
        encode("a", id="1\0")
    assert Parser().receive_data(encode("a", event="\0")) == [Event("a", "\0")]


@pytest.mark.parametrize("retry_ms", [-1, -(10**20), 10**15, 10**999])
def test_retry_out_of_range_is_rejected(retry_ms: int) -> None:
    with pytest.raises(LocalProtocolError, match="retry_ms"):
        encode("a", retry_ms=retry_ms)


def test_largest_retry_round_trips() -> None:
    parser = Parser()
    parser.receive_data(encode("a", retry_ms=10**15 - 1))
    assert parser.retry_ms == 10**15 - 1


def test_retry_and_hints() -> None:
    assert encode_event(Event("a", retry=5)) == b"retry: 5\ndata: a\n\n"
    assert encode_hint(ReconnectHint(id="7", retry=5)) == b"id: 7\nretry: 5\n\n"
    assert encode_hint(ReconnectHint()) == b""
    parser = Parser()
    assert parser.receive_data(encode_hint(ReconnectHint(id="7", retry=5))) == []
    assert (parser.last_event_id, parser.retry_ms) == ("7", 5)
    with pytest.raises(LocalProtocolError, match="line break"):
        encode_hint(ReconnectHint(id="a\nb"))
