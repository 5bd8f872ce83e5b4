"""Invalid response bodies: a correct finding or the verdict `unknown`, never a false finding."""

from __future__ import annotations

import random
import time

import pytest

from support.synthetic_streams import SSE_HEAD, Write, answer, even_schedule, exchange
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.framing import Framing
from undam.record import Ending, Head
from undam.rules import Verdict

SSE = answer(even_schedule(25, 40))[:-1]
LINES = [Write(1500 + 25.0 * index, b'{"response": "a"}\n') for index in range(40)]


def _head(kind: str) -> Head:
    return Head(200, "1.1", (("Content-Type", kind), ("Transfer-Encoding", "chunked")))


def _hop(writes: list[Write], kind: str, ending: Ending = Ending.COMPLETE) -> Hop:
    given = exchange(writes, head=_head(kind), api="plain", ending=ending)
    return analyze_hop([read_exchange(given)])


def _codes(hop: Hop) -> set[str]:
    return {one.code for one in find_findings([hop])}


def _blames_a_hold(hop: Hop) -> bool:
    return bool(_codes(hop) & {"UD101", "UD102", "UD103", "UD104", "UD111"})


@pytest.mark.parametrize(
    ("first", "then", "kind"),
    [
        (SSE, LINES, "text/event-stream"),
        (LINES, [Write(w.at_ms + 3000, w.data) for w in SSE], "application/x-ndjson"),
        ([Write(9, b"[")], LINES, "application/json"),
        (LINES[:9], [Write(4000 + i, bytes([i] * 99)) for i in range(40)], "application/json"),
    ],
)
def test_framing_that_changes_half_way_is_reported(
    first: list[Write], then: list[Write], kind: str
) -> None:
    hop = _hop([*first, *then], kind)
    assert not _blames_a_hold(hop)
    assert _codes(hop) & {"UD601", "UD602", "UD605"} or hop.shape.verdict is Verdict.STREAMING


def test_wrong_checksum_is_reported_with_its_number() -> None:
    body = bytearray(b"".join(_eventstream(index) for index in range(12)))
    body[-9] ^= 1
    writes = [
        Write(300 + 25.0 * i, bytes(body[i * 8 : i * 8 + 8])) for i in range(len(body) // 8 + 1)
    ]
    hop = _hop(writes, "application/vnd.amazon.eventstream")
    assert hop.reading.framing is Framing.EVENTSTREAM
    (found,) = [one for one in find_findings([hop]) if one.code == "UD605"]
    assert "12" in found.message


def _eventstream(index: int) -> bytes:
    from undam.simulator.apis.forms import _message  # noqa: PLC0415 (only here)

    return _message(b'contentBlockDelta\0{"contentBlockIndex":0,"delta":{"text":"%d"}}' % index)


def test_array_that_never_closes_was_cut() -> None:
    parts = [Write(300 + 25.0 * i, b'%b{"a": "%d"}' % (b"," if i else b"[", i)) for i in range(40)]
    assert "UD601" in _codes(_hop(parts, "application/json"))
    endless = _hop(parts, "application/json", Ending.TIMEOUT)
    assert "UD606" in _codes(endless)


def test_ten_megabytes_of_one_line_are_bounded() -> None:
    for begin in (b'{"a": "', b'["', b"data: ", b'\x1e"', b"--b\r\n\r\n"):
        writes = [Write(0, begin), *[Write(9.0 * i, b"x" * 65536) for i in range(1, 160)]]
        started = time.process_time()
        hop = _hop(writes, "application/json")
        assert time.process_time() - started < 5, begin
        assert not _blames_a_hold(hop)
        assert "UD605" in _codes(hop), begin


def test_binary_noise_and_an_endless_text_are_not_accused() -> None:
    rng = random.Random(4)
    noise = [Write(300 + 20.0 * i, rng.randbytes(rng.randint(1, 400))) for i in range(200)]
    for kind in ("application/octet-stream", "text/plain", "", "application/json"):
        hop = _hop(noise, kind)
        assert (hop.shape.verdict, _blames_a_hold(hop)) == (Verdict.STREAMING, False), kind
    text = [Write(20.0 * i, b" word") for i in range(3000)]
    hop = _hop(text, "text/plain", Ending.TIMEOUT)
    assert hop.shape.verdict is Verdict.STREAMING
    assert "UD606" in _codes(hop)


def test_garbage_in_a_declared_event_stream_is_no_stream_of_another_kind() -> None:
    rng = random.Random(5)
    noise = [Write(300 + 20.0 * i, rng.randbytes(64)) for i in range(60)]
    hop = analyze_hop([read_exchange(exchange(noise, head=SSE_HEAD))])
    assert hop.reading.framing is Framing.SSE
    assert not _blames_a_hold(hop)
