"""Fuzz targets: parsers of arbitrary bytes, and the errors that each may raise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.chunked import LAST_CHUNK, chunk
from support.damaged_records import bench_record, check_record
from support.hostile_responses import CODERS, HI, hostile_responses
from support.threaded_server import token
from undam.apis import CHAT, ShapeReader
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.hop import analyze_hop, hop_metrics
from undam.diagnosis.reading import read_exchange
from undam.errors import ConfigSyntaxError, RemoteProtocolError, UsageError
from undam.framing import BodyDecoder
from undam.lint import DIALECTS, Dialect, Settings, Source, lint_source
from undam.loadtest.analysis.chunks import ResponseChunkDecoder
from undam.loadtest.cluster_frames import FrameError, result_from_json
from undam.metrics import summarize
from undam.record import Ending, read_check_record, read_request_results
from undam.sse import Comment
from undam.tap.capture.capture_file import CaptureReader
from undam.timing.beacon import parse_head, parse_query
from undam.wire.content_coding import ContentDecoder
from undam.wire.http2.parser import Http2Parser
from undam.wire.response import ResponseParser
from undam.wire.response_reader import ResponseReader
from undam.wire.timestamps import TimestampedRead

ROOT = Path(__file__).parents[2]
_MAX_BYTES = 1 << 20
# The result must not depend on how the input is split, so each input is parsed in two halves.
_HALVES = 2


@dataclass(frozen=True)
class FuzzTarget:
    """Parser to fuzz, with valid inputs.

    Args:
        run: parses one input.
        allowed: errors that it documents.
    """

    name: str
    seeds: tuple[bytes, ...]
    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = ()


def _halves(data: bytes) -> Iterator[bytes]:
    middle = len(data) // _HALVES
    yield data[:middle]
    yield data[middle:]


def _body(content_type: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        decoder = BodyDecoder(content_type, max_event_bytes=_MAX_BYTES)
        reader = ShapeReader(CHAT)
        for half in _halves(data):
            for item in decoder.receive_data(half):
                if not isinstance(item, Comment):
                    reader.read(item.event, item.data)
        decoder.receive_eof()

    return run


def _response(data: bytes) -> None:
    reader = ResponseReader(ResponseParser(method="POST"), max_body_bytes=_MAX_BYTES)
    for at, half in enumerate(_halves(data), 1):
        if half and reader.ending is None:
            reader.receive(TimestampedRead(half, at, 0, True))
    if reader.head is not None:
        reader.receive_eof(3, clean=True)
        assert reader.ending in set(Ending)


def _http2(data: bytes) -> None:
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")]
    parser = Http2Parser(fields, b"", max_head_bytes=65536)
    for half in _halves(data):
        parser.receive_data(half)
        parser.to_send()
    parser.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return the bytes of an HTTP/2 frame (RFC 9113, 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


_HTTP2 = (
    _frame(4, 0, 0, b"") + _frame(1, 4, 1, b"\x88") + _frame(0, 0, 1, HI) + _frame(0, 1, 1, b""),
    _frame(4, 0, 0, b"\0\x03\0\0\0\x64") + _frame(3, 0, 1, b"\0\0\0\x08"),
    _frame(7, 0, 0, b"\0\0\0\0\0\0\0\0bye") + _frame(6, 0, 0, b"12345678"),
)
_PCAP = (
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0" + bytes(8) + b"\xff\xff\0\0\x01\0\0\0"
    + bytes(8) + b"\x14\0\0\0\x14\0\0\0" + bytes(20)
)  # fmt: skip


def _pcap(data: bytes) -> None:
    for _ in CaptureReader(io.BytesIO(data), "fuzz"):
        pass


def _chunked(data: bytes) -> None:
    decoder = ResponseChunkDecoder()
    for half in _halves(data):
        if not decoder.complete:
            decoder.receive_data(half)


def _coding(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        decoder = ContentDecoder([name], max_bytes=_MAX_BYTES)
        size = sum(len(piece) for half in _halves(data) for piece in decoder.receive_data(half))
        assert size <= _MAX_BYTES

    return run


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").splitlines(keepends=True)


def _check_record(data: bytes) -> None:
    record = read_check_record(_lines(data))
    for exchange in record.exchanges:
        hop = analyze_hop([read_exchange(exchange)])
        find_findings([hop])
        json.dumps(hop_metrics(hop), allow_nan=False)


def _bench_record(data: bytes) -> None:
    json.dumps(summarize(read_request_results(_lines(data)).results).to_json(), allow_nan=False)


def _dialect(dialect: Dialect) -> FuzzTarget:
    folder = ROOT / "tests" / "lint" / "corpus" / dialect.name.replace("-", "_")
    seeds = tuple(file.read_bytes()[:20_000] for file in sorted(folder.glob("*")))

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        lint_source(dialect, Source("fuzz", text), Settings())

    return FuzzTarget(f"lint {dialect.name}", seeds or (b"a b;\n",), run, (ConfigSyntaxError,))


def _beacon(data: bytes) -> None:
    text = data.decode("latin-1")
    parse_head(text)
    parse_query(text)


def targets() -> tuple[FuzzTarget, ...]:
    """Return every target."""
    hostile = hostile_responses()
    wire = tuple(one for one in hostile.values() if len(one) < 4000)
    remote = (RemoteProtocolError,)
    bodies = {
        "sse": ("text/event-stream", (HI, b": c\n\nevent: a\nid: 1\ndata: x\n\n", token() * 3)),
        "json lines": ("application/x-ndjson", (b'{"a": 1}\n{"response": "x"}\n',)),
        "json sequence": ("application/json-seq", (b'\x1e{"a": 1}\n\x1e{"b": 2}\n',)),
        "json array": ("application/json", (b'[{"a": "x"}, {"b": [1, "]"]}]',)),
        "event stream": (
            "application/vnd.amazon.eventstream",
            tuple(
                one.partition(b"\r\n\r\n")[2]
                for name, one in hostile.items()
                if name.startswith("application/vnd.amazon.eventstream")
            ),
        ),
        "multipart": (
            "multipart/mixed; boundary=b",
            (b"--b\r\n\r\n{}\r\n--b\r\n\r\n[1]\r\n--b--",),
        ),
        "text": ("text/plain", (b'some words\n0:"t"\n', "日本語 text".encode())),
    }
    found = [FuzzTarget(name, seeds, _body(kind), remote) for name, (kind, seeds) in bodies.items()]
    found.append(FuzzTarget("http response", wire, _response, remote))
    chunks = (chunk(HI) + LAST_CHUNK, b"5;a=b\r\n: x\n\n\r\n0\r\nA: b\r\n\r\n")
    found.append(FuzzTarget("http2 frames", _HTTP2, _http2, remote))
    found.append(FuzzTarget("capture", (_PCAP,), _pcap, (UsageError,)))
    found.append(FuzzTarget("chunked", chunks, _chunked, remote))
    for name, coder in CODERS.items():
        found.append(FuzzTarget(name, (coder(HI), coder(HI * 50)), _coding(name), remote))
    usage = (UsageError,)
    check, bench = "".join(check_record()).encode(), "".join(bench_record()).encode()
    found.append(FuzzTarget("record of a check", (check,), _check_record, usage))
    found.append(FuzzTarget("record of a load test", (bench[:20_000],), _bench_record, usage))
    frame = b'{"kind": "Ready", "worker": 0, "at_ns": 5}'
    run_frame: Callable[[bytes], object] = lambda data: result_from_json(data, 0)  # noqa: E731
    found.append(FuzzTarget("cluster frame", (frame,), run_frame, (FrameError,)))
    beacon = (b"id=a; arrived=5; host=h", b"schedule; silence_ms=3; after=2", b"closed; id=a")
    found.append(FuzzTarget("beacon header", beacon, _beacon, remote))
    found += [_dialect(dialect) for dialect in DIALECTS]
    return tuple(found)
