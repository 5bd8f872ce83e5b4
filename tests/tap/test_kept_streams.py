"""Captures kept by `undam tap` contain no text, and give the same results as the traffic."""

from __future__ import annotations

import io
import json
import random
import zlib
from collections.abc import Sequence
from itertools import pairwise

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import (
    RST,
    Connection,
    Side,
    chat_events,
    chat_request,
    chunk,
    head,
    stream_through_proxy,
)
from undam.cli.commands.tap.capture import TapRun
from undam.cli.commands.tap.report import tap_json
from undam.tap.capture.capture_file import CaptureReader, Packet
from undam.tap.kept_streams import StreamFile
from undam.tap.placeholders import Placeholders
from undam.tap.session import TapSession

GAPS = random.Random(3)
DUE = [200.0]
while len(DUE) < 100:
    DUE.append(DUE[-1] + GAPS.uniform(5, 45))
BLOCKS = [DUE[min(99, number // 10 * 10 + 9)] + 0.2 for number in range(100)]
FREE = [at + 0.3 for at in DUE]


def analyze(packets: Sequence[Packet], file: StreamFile | None = None) -> TapSession:
    session = TapSession(file=file)
    for packet in packets:
        session.receive_packet(packet)
    session.finish()
    return session


def kept(packets: Sequence[Packet]) -> tuple[bytes, TapSession]:
    """Return the kept capture, and the analysis of the original packets."""
    file = io.BytesIO()
    session = analyze(packets, StreamFile(file))
    return file.getvalue(), session


def again(data: bytes) -> TapSession:
    return analyze(list(CaptureReader(io.BytesIO(data), "kept.pcapng")))


def result(session: TapSession) -> dict[str, object]:
    """Return the analysis result without packet and byte counts."""
    row = tap_json(TapRun(session, "x"))
    findings = [
        (one["code"], one["hop"], one["severity"])
        for one in row["findings"]  # type: ignore[attr-defined]
        if one["code"] != "UD931"
    ]
    return {"proxies": row["proxies"], "servers": row["servers"], "findings": findings}


def merged(streams: Sequence[list[Packet]]) -> list[Packet]:
    return sorted((one for some in streams for one in some), key=lambda packet: packet.at_ns)


def reset_by(by_client: bool) -> list[Packet]:
    outer = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 8080, 1))
    inner = Connection(Side("10.0.0.2", 50000, 1), Side("10.0.0.3", 9000, 1))
    for connection, at in ((outer, 0.0), (inner, 0.3)):
        connection.open(at)
        connection.request(at + 0.1, chat_request())
        connection.response(at + 100, head())
        for number, event in enumerate(chat_events(50, "cut")):
            connection.response(at + 100 + 20 * number, chunk(event))
    outer.close(1200, by_client=by_client, flags=RST)
    inner.close(1205, by_client=True, flags=RST)
    return merged([outer.packets, inner.packets])


def full_window() -> list[Packet]:
    full = Connection(Side("10.0.0.1", 40000, 1000), Side("10.0.0.2", 8080, 5000))
    full.window(900.0, 0)
    return merged([stream_through_proxy(DUE, BLOCKS), full.packets])


def with_loss(seed: int) -> list[Packet]:
    chance = random.Random(seed)
    return [one for one in stream_through_proxy(DUE, BLOCKS) if chance.random() > 0.03]


def coded(coding: str) -> list[Packet]:
    """Return the packets of a stream that the proxy compresses and holds in blocks."""
    packets = stream_through_proxy(DUE, BLOCKS)
    inner = [one for one in packets if b"\x23\x28" in one.data[34:38]]
    outer = Connection(Side("10.0.0.1", 40000, 1000), Side("10.0.0.2", 8080, 5000))
    outer.open(0)
    outer.request(0.2, chat_request("question 0"))
    outer.response(BLOCKS[0] - 1, head(f"Content-Encoding: {coding}"))
    deflate, compressor = zlib.compressobj(wbits=31), brotli.Compressor()
    for start in range(0, 100, 10):
        block = b"".join(chat_events(100, "answer-0")[start : start + 10])
        if coding == "gzip":
            data = deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
        else:
            data = compressor.process(block) + compressor.flush()
        outer.response(BLOCKS[start], chunk(data))
    last = deflate.flush() if coding == "gzip" else compressor.finish()
    outer.response(BLOCKS[-1] + 0.1, chunk(last) + chunk(b""))
    outer.close(BLOCKS[-1] + 1)
    return merged([inner, outer.packets])


CASES = {
    "held": stream_through_proxy(DUE, BLOCKS),
    "free": stream_through_proxy(DUE, FREE),
    "to the end": stream_through_proxy(DUE, [DUE[-1] + 0.5] * 100),
    "many": merged(
        [stream_through_proxy(DUE, FREE, number=one, start_ms=3 * one) for one in range(5)]
    ),
    "reset by the client": reset_by(True),
    "reset by the proxy": reset_by(False),
    "open at the end": stream_through_proxy(DUE, BLOCKS)[:300],
    "full window": full_window(),
    "one side": [
        one for one in stream_through_proxy(DUE, BLOCKS) if b"\x1f\x90" in one.data[34:38]
    ],
    "gzip": coded("gzip"),
    "br": coded("br"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_kept_capture_has_no_text_and_the_same_result(name: str) -> None:
    data, session = kept(CASES[name])
    for text in (b"word", b"answer-0", b"question", b"sk-secret", b"messages"):
        assert text not in data
    assert result(again(data)) == result(session)


@pytest.mark.parametrize("seed", range(6))
def test_missing_packets_have_the_same_verdict_in_the_kept_capture(seed: int) -> None:
    data, session = kept(with_loss(seed))
    copy = again(data)
    verdicts = [
        {address: (one.verdict, one.incomplete) for address, one in some.proxies.items()}
        for some in (session, copy)
    ]
    assert verdicts[0] == verdicts[1]
    assert copy.table.stats.lost_bytes > 0


def test_encrypted_packets_are_kept_from_the_handshake_on() -> None:
    connection = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 443, 1))
    connection.open(0)
    connection.request(1, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    connection.response(2, b"\x17\x03\x03\x00\x04abcd")
    data, _ = kept(connection.packets)
    assert b"\x17\x03\x03\x00\x04abcd" in data
    assert again(data).table.stats.tls == 1


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        (b'data: {"choices":[{"delta":{"content":"the secret"}}]}\n\n', b"the secret"),
        (b'data: {"a": "caf\xc3\xa9 \\u00e9 \\n\\"quoted\\""}\n\n', b"caf"),
        (b"data: plain words of an answer\n\n", b"words"),
        (b"id: patient-17\ndata: x\n\n", b"patient"),
        (b": a comment with content\n\n", b"comment"),
        (b"unknown: field\n\n", b"field"),
        (b'data: {"logprobs":{"bytes":[104,105]},"token_id":42}\n\n', b"104"),
        (b'data: {"x": broken words}\n\n', b"broken"),
        (b'data: {"cut":"no end of the str', b"no end"),
        (b"data: two lines\r\ndata: of text\r\n\r\n", b"lines"),
        (b'data: {"a key with words":"v"}\n\n', b"key with"),
    ],
)
def test_text_is_replaced_and_sizes_stay(body: bytes, gone: bytes) -> None:
    (masked,) = Placeholders().sse_body([body])
    assert gone not in masked
    assert len(masked) == len(body)
    assert masked.count(b"\n") == body.count(b"\n")


def test_the_structure_of_an_api_stays_readable() -> None:
    value = {"type": "content_block_delta", "index": 3, "delta": {"text": "hi \u00e9\u4e2d!"},
             "usage": {"output_tokens": 17}, "undam": {"seq": 4, "due_ns": 123}}  # fmt: skip
    for ascii_only in (True, False):
        raw = json.dumps(value, ensure_ascii=ascii_only).encode()
        (masked,) = Placeholders().json_body([raw])
        assert len(masked) == len(raw)
        again_value = json.loads(masked)
        assert len(again_value["delta"].pop("text")) == len("hi \u00e9\u4e2d!")
        value["delta"] = {}
        assert again_value == value
        value["delta"] = {"text": "hi \u00e9\u4e2d!"}


def test_the_same_text_has_the_same_placeholder_in_any_encoding() -> None:
    cover = Placeholders()
    texts = []
    for ascii_only in (True, False):
        raw = json.dumps({"content": "caf\u00e9 \u4e2d\u6587"}, ensure_ascii=ascii_only)
        (masked,) = cover.json_body([raw.encode()])
        texts.append(json.loads(masked)["content"])
    assert texts[0] == texts[1]
    assert Placeholders().text_for("word" * 9) != cover.text_for("word" * 9)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=3))
def test_any_body_keeps_its_size(body: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(one, len(body)) for one in cuts), len(body)]
    parts = [body[a:b] for a, b in pairwise(bounds)]
    for function in (Placeholders().sse_body, Placeholders().json_body):
        assert [len(one) for one in function(parts)] == [len(one) for one in parts]
