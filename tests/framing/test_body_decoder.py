"""Every framing is detected from the bytes, and decoding does not depend on read boundaries."""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.framing import BodyDecoder, Framing
from undam.framing.decoder import Decoder, new_decoder
from undam.framing.detect import DECIDE_BYTES, boundary_of, detect, has_bare_values
from undam.framing.multipart import MultipartDecoder
from undam.framing.text import BINARY
from undam.sse import Comment, Event

TEXTS = ['{"a": "x, ]}[ \\" y"}', '{"b": [1, {"c": "日本 🚀"}]}', '{"d": "\\u001e"}', "{}"]


def message(payload: bytes, event_type: str = "chunk", message_type: str = "event") -> bytes:
    """Encode one message in the format application/vnd.amazon.eventstream."""
    kind = ":exception-type" if message_type == "exception" else ":event-type"
    headers = b"\x03flg\x00\x03num\x04\x00\x00\x00\x07\x03raw\x06\x00\x02ab"
    for name, value in ((kind, event_type), (":message-type", message_type)):
        headers += struct.pack(">B", len(name)) + name.encode()
        headers += struct.pack(">BH", 7, len(value)) + value.encode()
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    start = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def sse(texts: list[str]) -> bytes:
    return b"".join(f"data: {text}\n\n".encode() for text in texts)


def lines(texts: list[str]) -> bytes:
    return b"".join(text.encode() + b"\n" for text in texts)


def sequence(texts: list[str]) -> bytes:
    return b"".join(b"\x1e" + text.encode() + b"\n" for text in texts)


def array(texts: list[str]) -> bytes:
    return b"[" + b",\r\n".join(text.encode() for text in texts) + b"\n]\n"


def eventstream(texts: list[str]) -> bytes:
    return b"".join(message(text.encode()) for text in texts)


def multipart(texts: list[str]) -> bytes:
    head = "--b\r\nContent-Type: application/json\r\n\r\n"
    return "".join(f"{head}{text}\r\n" for text in texts).encode() + b"--b--\r\n"


def sized_multipart(texts: list[str]) -> bytes:
    parts = ""
    for text in texts:
        size = len(text.encode())
        parts += f"--b\r\nContent-Length: {size}\r\nX: y\r\n\r\n{text}\r\n"
    return parts.encode() + b"--b--"


FRAMINGS: dict[str, tuple[Framing, Callable[[list[str]], bytes]]] = {
    "sse": (Framing.SSE, sse),
    "lines": (Framing.NDJSON, lines),
    "sequence": (Framing.JSON_SEQ, sequence),
    "array": (Framing.JSON_ARRAY, array),
    "eventstream": (Framing.EVENTSTREAM, eventstream),
    "multipart": (Framing.MULTIPART, multipart),
    "multipart with lengths": (Framing.MULTIPART, sized_multipart),
}

TYPES = ["", "text/plain; charset=utf-8", "application/json", "application/octet-stream", "a/b"]


def decode(body: bytes, size: int, content_type: str = "") -> tuple[Framing | None, list[str]]:
    decoder = BodyDecoder(content_type)
    items: list[Event | Comment] = []
    for at in range(0, len(body), size):
        items += decoder.receive_data(body[at : at + size])
    items += decoder.receive_eof()
    assert decoder.pending_bytes == 0
    return decoder.framing, [item.data for item in items if isinstance(item, Event)]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
@pytest.mark.parametrize("name", FRAMINGS)
def test_events_are_independent_of_type_and_segmentation(
    name: str, size: int, content_type: str
) -> None:
    framing, encode = FRAMINGS[name]
    assert decode(encode(TEXTS), size, content_type) == (framing, TEXTS)


CLOSING_BYTES = {"array": 3, "multipart": 7, "multipart with lengths": 5}
"""Number of bytes after the last event of a body, by framing."""


@pytest.mark.parametrize("name", FRAMINGS)
def test_each_event_is_complete_with_its_own_write(name: str) -> None:
    framing, encode = FRAMINGS[name]
    for count in range(1, len(TEXTS) + 1):
        written = encode(TEXTS[:count])
        written = written[: len(written) - CLOSING_BYTES.get(name, 0)]
        decoder = new_decoder(framing, "multipart/mixed; boundary=b", 1 << 20)
        assert _texts(decoder.receive_data(written)) == TEXTS[:count]


@pytest.mark.parametrize(
    ("content_type", "body", "framing"),
    [
        ("text/plain", b"Hello world", Framing.TEXT),
        ("text/html", b"<span>one</span>", Framing.TEXT),
        ("text/plain", b":) hello there", Framing.TEXT),
        ("text/plain", b": ping\n\ndata: x\n\n", Framing.SSE),
        ("text/plain", b": ping\n\nd", Framing.TEXT),
        ("application/json", b": ping\n\n", Framing.SSE),
        ("text/plain", b'0:"one"\n0:" two"\n', Framing.TEXT),
        ("application/octet-stream", b"\x00\x01\x02", Framing.BYTES),
        ("audio/mpeg", bytes(range(128, 256)) * 4, Framing.BYTES),
        ("application/x-ndjson", b'"a"\n"b"\n', Framing.NDJSON),
        ("application/x-ndjson", "größe".encode(), Framing.NDJSON),
        ("", b"[1, 2]\n[3, 4]\n", Framing.NDJSON),
        ("", b"[[1, 2], [3, 4]]", Framing.JSON_ARRAY),
        ("", b"[1, 2]\n", Framing.JSON_ARRAY),
        ("", b"[", Framing.JSON_ARRAY),
        ("", b"[tr", Framing.JSON_ARRAY),
        ("text/plain", b'[{"a": 1}, {"b": 2}]', Framing.JSON_ARRAY),
        ("text/plain", b"[1] According to the report", Framing.TEXT),
        ("text/plain", b"[Paris](https://example.org) is", Framing.TEXT),
        ("application/json", b"[note]", Framing.TEXT),
        ("", b"--\n", Framing.TEXT),
        ("", b"--b\r\nA: b\r\n\r\nx", Framing.MULTIPART),
        ('multipart/mixed; boundary="a b"', b"--a b\r\n\r\nx", Framing.MULTIPART),
        ("multipart/mixed; boundary=zz", b"--b\r\n\r\nx", Framing.TEXT),
        ("multipart/mixed; boundary=zz", b"--z", Framing.TEXT),
        ("text/event-stream", b"", Framing.SSE),
        ("text/event-stream", b"\0\1noise", Framing.SSE),
        ("text/event-stream", b"hello", Framing.SSE),
        ("text/event-stream", b'{"a": 1}\n', Framing.NDJSON),
        ("application/json-seq", b"", Framing.JSON_SEQ),
        ("application/jsonl", b"  \n", Framing.NDJSON),
        ("application/vnd.amazon.eventstream", b"", Framing.EVENTSTREAM),
        ("text/plain", b"", Framing.TEXT),
        ("image/png", b"", Framing.BYTES),
        ("", b"\0\0\0\x20\0\0\0\x08", Framing.BYTES),
        ("", b"\0\0\0\x20\0\0\0\x08\0\0\0\0rest", Framing.BYTES),
        ("", b"\xef\xbb\xbfdata: x\n\n", Framing.SSE),
        ("", b"dat", Framing.TEXT),
        ("", b"-", Framing.TEXT),
    ],
)
def test_detection_of_a_complete_body(content_type: str, body: bytes, framing: Framing) -> None:
    assert detect(content_type, body, complete=True) is framing


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        ("", b"\xef\xbb"),
        ("", b"  "),
        ("", b"dat"),
        ("", b"["),
        ("", b"[1]\n"),
        ("", b"-"),
        ("", b"--boundary"),
        ("multipart/mixed; boundary=boundary", b"--bou"),
        ("text/plain", b": ping\n"),
        ("text/plain", b": ping\n\nda"),
        ("", b"\0\0\0\x20"),
    ],
)
def test_detection_waits_for_more_bytes(content_type: str, body: bytes) -> None:
    assert detect(content_type, body, complete=False) is None


def test_detection_is_final_after_its_bound() -> None:
    assert detect("", b" " * DECIDE_BYTES, complete=False) is not None


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_indented_json_values_that_follow_each_other(size: int) -> None:
    values = [{"a": [1, "}"]}, {"b": {"c": None}}]
    body = "\n".join(json.dumps(value, indent=2) for value in values).encode()
    decoder = BodyDecoder("application/json")
    assert [json.loads(text) for text in _texts(_feed(decoder, body, size))] == values
    assert (decoder.framing, decoder.pending_bytes) == (Framing.NDJSON, 0)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("separator", ["", " ", "\r"])
def test_json_values_without_line_ends(separator: str, size: int) -> None:
    body = separator.join(TEXTS).encode()
    decoder = BodyDecoder("application/json")
    assert _texts(_feed(decoder, body, size)) == TEXTS
    assert (decoder.framing, decoder.pending_bytes) == (Framing.NDJSON, 0)


@pytest.mark.parametrize(
    ("beginning", "bare"),
    [
        (b'{"a": "}{"}', True),
        (b'{"a": "}{"}\n', False),
        (b'{"a": 1} {"b": 2}\n{"c": 3}', True),
        (b'{"a": 1}\n{"b": 2}{"c": 3}', False),
        (b'{"a": 1}]\n', False),
        (b'{"a": ', False),
        (b'{\n "a": 1\n}', True),
        (b'{"a":' * 900, False),
    ],
)
def test_bare_values_are_recognised_by_the_first_line(beginning: bytes, bare: bool) -> None:
    assert has_bare_values(beginning) is bare


def test_a_string_in_an_array_is_complete_at_its_closing_quote() -> None:
    decoder = new_decoder(Framing.JSON_ARRAY, "application/json", 1 << 20)
    assert _texts(decoder.receive_data(b'["Hel\\"')) == []
    assert _texts(decoder.receive_data(b'lo"')) == ['"Hel\\"lo"']
    assert decoder.pending_bytes == 0
    assert _texts(decoder.receive_data(b' , "a,b", 7, "c"]')) == ['"a,b"', "7", '"c"']


def test_a_character_that_is_divided_between_two_parts_of_a_payload() -> None:
    text = "日本語 🚀".encode()
    parts = [message(text[at : at + 2], "PayloadPart") for at in range(0, len(text), 2)]
    decoder = new_decoder(Framing.EVENTSTREAM, "", 1 << 20)
    assert "".join(_texts(decoder.receive_data(b"".join(parts)))) == "日本語 🚀"
    # The payloads of other messages are complete, so half a character is an error of the server.
    assert _texts(decoder.receive_data(message(text[:2]) + message(text[2:3]))) == ["�", "�"]


def test_text_is_divided_into_words() -> None:
    decoder = BodyDecoder("text/plain")
    assert _texts(decoder.receive_data(b"Hello wor")) == ["Hello ", "wor"]
    assert _texts(decoder.receive_data("ld 日本".encode())) == ["ld ", "日", "本"]
    assert _texts(decoder.receive_data("🚀".encode()[:2])) == []
    assert decoder.pending_bytes == 2
    assert _texts(decoder.receive_data("🚀".encode()[2:])) == ["🚀"]
    assert decoder.receive_eof() == []
    assert decoder.framing is Framing.TEXT


def test_lines_of_a_data_stream_are_events_named_by_their_code() -> None:
    decoder = BodyDecoder("text/plain")
    items = decoder.receive_data(b'0:"one"\n0:" two"\nd:{"finishRe')
    assert items == [Event('"one"', "0"), Event('" two"', "0")]
    assert decoder.pending_bytes == len(b'd:{"finishRe')
    assert decoder.receive_data(b'ason":"stop"}') == []
    assert decoder.receive_eof() == [Event('{"finishReason":"stop"}', "d")]


def test_a_data_stream_that_changes_its_form_is_an_error() -> None:
    decoder = BodyDecoder("text/plain")
    decoder.receive_data(b'0:"one"\n')
    with pytest.raises(RemoteProtocolError, match="not part of a data stream"):
        decoder.receive_data(b"hello\n")


def test_binary_data_is_one_event_per_read() -> None:
    decoder = BodyDecoder("audio/pcm")
    assert decoder.receive_data(b"\0\1\2" * 8) == [Event("", BINARY)]
    assert decoder.receive_data(b"") == []
    assert (decoder.receive_eof(), decoder.pending_bytes) == ([], 0)


def test_names_of_eventstream_messages() -> None:
    decoder = BodyDecoder("")
    body = message(b"{}", "contentBlockDelta") + message(b"{}", "throttlingException", "exception")
    names = [item.event for item in decoder.receive_data(body) if isinstance(item, Event)]
    assert names == ["contentBlockDelta", "throttlingException"]


def _feed(decoder: Decoder, body: bytes, size: int) -> list[Event | Comment]:
    items = [
        item
        for at in range(0, len(body), size)
        for item in decoder.receive_data(body[at : at + size])
    ]
    return items + decoder.receive_eof()


def _texts(items: list[Event | Comment]) -> list[str]:
    return [item.data for item in items if isinstance(item, Event)]


def _broken(at: int) -> bytes:
    whole = bytearray(message(b"{}") * 2)
    whole[len(whole) // 2 + at] ^= 1
    return bytes(whole)


@pytest.mark.parametrize(
    ("framing", "body", "error"),
    [
        (Framing.EVENTSTREAM, _broken(3), "message 2 has a wrong prelude checksum"),
        (Framing.EVENTSTREAM, _broken(-1), "message 1 has a wrong checksum"),
        (Framing.EVENTSTREAM, message(b"x" * 2000), "message 1 is larger than 1000 bytes"),
        (Framing.JSON_ARRAY, b"[{}] x", "data after the end of the JSON array"),
        (Framing.JSON_ARRAY, b"[" * 600, "nested deeper than 512 levels"),
        (Framing.JSON_ARRAY, b'[{}, "' + b"x" * 2000, "element 2 is larger than 1000 bytes"),
        (Framing.JSON_SEQ, b"\x1e{}\n\x1e" + b"x" * 2000, "value 2 is larger than 1000 bytes"),
        (Framing.NDJSON, b"{}\n" + b"x" * 2000, "line 2 is larger than 1000 bytes"),
        (Framing.SSE, b"data: x\n\ndata: " + b"x" * 2000, "event 2 is larger than 1000 bytes"),
        (Framing.MULTIPART, b"--b\r\n\r\nx\r\n--b\r\n" + b"x" * 2000, "part 2 is larger than 1000"),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_broken_framing_is_reported_after_what_was_whole(
    framing: Framing, body: bytes, error: str, size: int
) -> None:
    decoder = new_decoder(framing, "multipart/mixed; boundary=b", 1000)
    with pytest.raises(RemoteProtocolError, match=error):
        _feed(decoder, body, size)
    with pytest.raises(RemoteProtocolError, match=error):
        decoder.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match=error):
        decoder.receive_eof()


def test_impossible_lengths_and_headers_of_a_message() -> None:
    prelude = struct.pack(">II", 14, 0)
    short = prelude + struct.pack(">I", crc32(prelude)) + b"\0" * 8
    with pytest.raises(RemoteProtocolError, match="impossible length"):
        new_decoder(Framing.EVENTSTREAM, "", 1000).receive_data(short)
    headers = b"\x05ab"
    prelude = struct.pack(">II", 12 + len(headers) + 4, len(headers))
    start = prelude + struct.pack(">I", crc32(prelude)) + headers
    with pytest.raises(RemoteProtocolError, match="malformed headers"):
        new_decoder(Framing.EVENTSTREAM, "", 1000).receive_data(
            start + struct.pack(">I", crc32(start))
        )


@pytest.mark.parametrize(
    ("framing", "body", "pending"),
    [
        (Framing.SSE, b"data: x\n\ndata: y", 7),
        (Framing.JSON_ARRAY, b'[{"a": 1}, {"b": ', 5),
        (Framing.EVENTSTREAM, message(b"{}")[:20], 20),
        (Framing.MULTIPART, b"--b\r\n\r\nx\r\n--b\r\n\r\nhalf", 4),
    ],
)
def test_an_unfinished_event_stays_pending(framing: Framing, body: bytes, pending: int) -> None:
    decoder = new_decoder(framing, "multipart/mixed; boundary=b", 1000)
    decoder.receive_data(body)
    assert decoder.receive_eof() == []
    assert decoder.pending_bytes == pending


def test_a_value_without_its_newline_counts_at_the_end() -> None:
    for framing, body in ((Framing.JSON_SEQ, b"\x1e{}"), (Framing.NDJSON, b"{}")):
        decoder = new_decoder(framing, "", 1000)
        assert decoder.receive_data(body) == []
        assert decoder.receive_eof() == [Event("{}")]


def test_data_after_the_closing_delimiter_is_ignored() -> None:
    decoder = new_decoder(Framing.MULTIPART, "multipart/mixed; boundary=b", 1000)
    assert decoder.receive_data(b"preamble\r\n--b\r\n\r\nx\r\n--b--\r\n") == [Event("x")]
    assert decoder.receive_data(b"epilogue") == []
    assert decoder.pending_bytes == 0
    assert isinstance(decoder, MultipartDecoder)
    assert decoder.closed


def test_delimiter_without_a_declared_boundary_is_the_first_line() -> None:
    decoder = new_decoder(Framing.MULTIPART, "", 1000)
    assert decoder.receive_data(b"--b") == []
    assert decoder.receive_data(b"\r\n\r\nx\r\n--b\r\n\r\n\r\n--b--") == [Event("x")]


def test_parsing_of_json_like_parts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def refuse(text: bytes) -> None:
        tried.append(text)
        raise ValueError

    monkeypatch.setattr("undam.framing.multipart.json.loads", refuse)
    decoder = new_decoder(Framing.MULTIPART, "multipart/mixed; boundary=b", 1 << 20)
    decoder.receive_data(b"--b\r\nA: b\r\n\r\n{")
    for _ in range(40):
        assert decoder.receive_data(b"}") == []
    assert _texts(decoder.receive_data(b"\r\n--b--")) == ["{" + "}" * 40]
    assert len(tried) == 16
    large = b"--b\r\nA: b\r\n\r\n{" + b" " * 9000 + b"}"
    new_decoder(Framing.MULTIPART, "multipart/mixed; boundary=b", 1 << 20).receive_data(large)
    assert len(tried) == 16


def test_a_first_line_without_an_end_is_bounded() -> None:
    decoder = new_decoder(Framing.MULTIPART, "", 1000)
    assert decoder.receive_data(b"--" + b"x" * 900) == []
    with pytest.raises(RemoteProtocolError, match="part 1 is larger than 1000 bytes"):
        decoder.receive_data(b"x" * 100)


@pytest.mark.parametrize("content_type", ["", "multipart/mixed; boundary=", "multipart/x"])
def test_a_type_without_a_boundary(content_type: str) -> None:
    assert boundary_of(content_type) == ""


@given(body=st.binary(max_size=400), size=st.integers(1, 50), kind=st.sampled_from(TYPES))
def test_arbitrary_bytes_end_in_events_or_a_protocol_error(
    body: bytes, size: int, kind: str
) -> None:
    decoder = BodyDecoder(kind, max_event_bytes=200)
    with suppress(RemoteProtocolError):
        _feed(decoder, body, size)
    assert decoder.pending_bytes <= max(len(body), 1)


@pytest.mark.slow
@settings(deadline=None)
@given(values=st.lists(st.dictionaries(st.text(), st.text() | st.lists(st.integers())), min_size=1))
def test_arrays_of_arbitrary_objects_survive_any_cut(values: list[dict[str, object]]) -> None:
    for size in (1, 5, 10_000):
        decoder = new_decoder(Framing.JSON_ARRAY, "", 1 << 20)
        body = json.dumps(values).encode()
        assert [json.loads(text) for text in _texts(_feed(decoder, body, size))] == values
