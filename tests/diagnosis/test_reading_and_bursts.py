"""Edge cases of parsing bodies into events, and of grouping reads into bursts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.synthetic_streams import Write, answer, chat_event, even_schedule, exchange, segments
from undam.apis import APIS
from undam.diagnosis import reading as reading_module
from undam.diagnosis.bursts import find_bursts, together_ns
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import analyze_hop, hop_metrics
from undam.diagnosis.reading import MAX_EVENT_BYTES, read_exchange
from undam.framing import Framing
from undam.record import Ending, Head
from undam.work_budget import WorkBudget


def test_a_body_is_read_in_its_own_framing_whatever_its_type() -> None:
    head = Head(200, "1.1", (("Content-Type", "text/plain"),))
    lines = [Write(25.0 * i, b'{"message": {"content": "a"}, "done": false}\n') for i in range(20)]
    reading = read_exchange(exchange(lines, head=head))
    assert (reading.framing, reading.api.name) == (Framing.NDJSON, "ollama")
    assert len(reading.contents) == 20
    noise = read_exchange(exchange([Write(9.0 * i, b"\0\1\2\3" * 9) for i in range(9)], head=head))
    assert (noise.framing, len(noise.contents)) == (Framing.BYTES, 9)


def events_of_types(*runs: tuple[str, int]) -> list[str]:
    """Return the types of the content events in a stream with these runs of typed events."""
    names = [name for name, count in runs for _ in range(count)]
    writes = [
        Write(25.0 * i, f'data: {{"type": "{name}", "x": {i}}}\n\n'.encode())
        for i, name in enumerate(names)
    ]
    reading = read_exchange(exchange(writes, api="plain"))
    return [json.loads(item.text)["type"] for item in reading.contents]


@pytest.mark.parametrize(
    ("runs", "content"),
    [
        ((("sources", 1), ("token", 20), ("citations", 4)), ["token"] * 20),
        ((("status", 3), ("thinking", 5), ("token", 20)), ["thinking"] * 5 + ["token"] * 20),
        ((("token", 9), ("tool", 1), ("token", 9)), ["token"] * 9 + ["tool"] + ["token"] * 9),
        ((("token", 7), ("result", 1)), ["token"] * 7 + ["result"]),
        ((("a", 1), ("b", 1), ("c", 1)), ["a", "b", "c"]),
    ],
)
def test_events_that_only_announce_or_sum_up_an_answer_are_not_content(
    runs: tuple[tuple[str, int], ...], content: list[str]
) -> None:
    assert events_of_types(*runs) == content


@pytest.mark.parametrize("cut", [False, True])
def test_closing_bracket_of_an_array_is_its_end(cut: bool) -> None:
    part = b'{"candidates": [{"content": {"parts": [{"text": "a"}]}}]}'
    body = b"[" + b",".join([part] * 9) + (b"" if cut else b"]")
    reading = read_exchange(exchange([Write(5, body)]))
    assert (reading.framing, len(reading.contents)) == (Framing.JSON_ARRAY, 9)
    assert reading.announced_end is not cut


@pytest.mark.parametrize("cut", [False, True])
def test_closing_delimiter_of_a_multipart_body_is_its_end(cut: bool) -> None:
    body = b'--b\r\n\r\n{"delta": 1}\r\n' * 9 + (b"--b\r\n" if cut else b"--b--\r\n")
    head = Head(200, "1.1", (("Content-Type", "multipart/mixed; boundary=b"),))
    reading = read_exchange(exchange([Write(5, body)], head=head))
    assert (reading.framing, len(reading.contents)) == (Framing.MULTIPART, 9)
    assert reading.announced_end is not cut


@pytest.mark.parametrize(
    ("kind", "length", "body", "is_document"),
    [
        ("application/json", None, b'{"choices": []}', True),
        ("text/html", None, b"<p>", True),
        ("text/plain", "11", b"hello world", True),
        ("text/plain", None, b"hello world", False),
        ("text/plain", None, b"[clock 18a.18b.host]", False),
        ("application/json", None, b'{"a": 1}\n{"a": 2}\n', False),
        ("text/event-stream", None, b"data: x\n\n", False),
        ("text/event-stream", None, b"", False),
    ],
)
def test_document_or_stream(kind: str, length: str | None, body: bytes, is_document: bool) -> None:
    headers = (("Content-Type", kind), *((("Content-Length", length),) if length else ()))
    reading = read_exchange(exchange([Write(5, body)], head=Head(200, "1.1", headers)))
    assert reading.is_document is is_document
    headless = read_exchange(replace(exchange([Write(5, body)]), head=None))
    assert headless.is_document is body.startswith(b'{"choices')


@pytest.mark.parametrize("ending", list(Ending))
def test_last_line_without_newline_counts_only_in_a_complete_body(ending: Ending) -> None:
    head = Head(200, "1.1", (("Content-Type", "application/x-ndjson"),))
    body = [Write(1, b'{"a": 1}\n'), Write(2, b'{"b": 2}')]
    reading = read_exchange(exchange(body, head=head, api="plain", ending=ending))
    whole = ending in {Ending.COMPLETE, Ending.CLOSED}
    assert len(reading.contents) == (2 if whole else 1)
    assert reading.leftover_bytes == (0 if whole else 8)


def test_oversized_line_is_a_problem() -> None:
    head = Head(200, "1.1", (("Content-Type", "application/x-ndjson"),))
    body = [Write(1, b"{}\n" + b"x" * (MAX_EVENT_BYTES + 1)), Write(2, b"\n{}\n")]
    reading = read_exchange(exchange(body, head=head, api="plain"))
    assert reading.problem is not None
    assert len(reading.items) == 1


def test_a_stream_without_content_has_no_bursts() -> None:
    reading = read_exchange(exchange([Write(1, b": ping\n\n")]))
    assert find_bursts(reading) == []


def test_burst_includes_pending_bytes() -> None:
    event = chat_event("x")
    reads = [Write(100, event + event[:50]), Write(200, event[50:]), Write(300, event[:20])]
    first, second, third = find_bursts(read_exchange(exchange(reads)))
    assert (first.events, first.inside, first.last_event_bytes) == (1, True, len(event))
    assert (second.events, second.inside, second.last_event_bytes) == (1, False, len(event))
    assert (third.events, third.inside, third.last_event_bytes) == (0, True, 20)


@pytest.mark.parametrize(
    ("gaps_ms", "limit_ms"),
    [
        ([], 0.3),
        ([1.0] * 9, 0.15),
        ([20.0] * 9, 2.0),
        ([900.0] * 9, 5.0),
        ([0.0] * 9, 0.3),
        ([0.0] * 20 + [40.0], 2.0),
        ([0.0] * 20 + [400.0], 5.0),
    ],
)
def test_gap_that_counts_as_together(gaps_ms: list[float], limit_ms: float) -> None:
    times = [0]
    for gap in gaps_ms:
        times.append(times[-1] + round(gap * 1_000_000))
    assert together_ns(times) == round(limit_ms * 1_000_000)


def test_parallel_choices_are_counted() -> None:
    two = chat_event("x") + chat_event("y").replace(b'"index": 0', b'"index": 1')
    assert read_exchange(exchange([Write(1, two)])).choices == 2
    odd = chat_event("x").replace(b'"index": 0', b'"index": [1]')
    assert read_exchange(exchange([Write(1, odd)])).choices == 1
    assert read_exchange(exchange([])).choices == 1


PIECES = st.sampled_from(
    [chat_event("tok"), chat_event("", finish=True), b"data: [DONE]\n\n", b": ping\n\n",
     b": ping\n", b"id: 1\n", b"data:\n\n", b"event: ping\n\n", b"retry: 1\n\n", b"data: {]\n\n",
     b"\xff\x00\r", b'data: {"error": {"message": {}}}\n\n',
     b'data: {"choices": [[], {"index": -1}]}\n\n',
     b'data: {"undam": {"seq": 1, "due_ns": 99999999999999999999}}\n\n']
)  # fmt: skip


@pytest.mark.seconds
@given(
    pieces=st.lists(st.tuples(st.integers(-50, 400), PIECES), max_size=40),
    kind=st.sampled_from(["text/event-stream", "application/x-ndjson", "text/html"]),
    api=st.sampled_from([one.name for one in APIS]),
    ending=st.sampled_from(list(Ending)),
    late_ns=st.integers(0, 10**9),
    beacon=st.booleans(),
)
def test_arbitrary_bodies_never_raise(
    pieces: list[tuple[int, bytes]],
    kind: str,
    api: str,
    ending: Ending,
    late_ns: int,
    beacon: bool,
) -> None:
    at, reads = 0.0, []
    for gap, data in pieces:
        at += gap  # In a record, timestamps may decrease.
        reads.append(Write(at, data))
    head = Head(200, "1.1", (("Content-Type", kind),))
    given_ = exchange(reads, head=head, api=api, ending=ending, late_ns=late_ns)
    offset = ClockOffset() if beacon else None
    inner = analyze_hop([read_exchange(given_)], offset=offset)
    outer = analyze_hop([read_exchange(given_)] * 2, inner=inner, offset=offset)
    assert find_findings([outer, inner], offset) == find_findings([outer, inner], offset)
    assert hop_metrics(outer)["streams"] == 2


@pytest.mark.parametrize("size", [1, 7, 100, 1448])
def test_result_is_independent_of_segmentation(size: int) -> None:
    writes = answer(even_schedule(25, 20))
    whole = read_exchange(exchange(writes))
    cut = read_exchange(exchange(segments(writes, size, 0.0001)))
    assert [item.text for item in cut.items] == [item.text for item in whole.items]
    assert cut.announced_end


@pytest.mark.seconds
@pytest.mark.parametrize("body", [b":\n", b"data\n\n", b"data: x\n\n", chat_event("hi"), b"{}\n"])
def test_reading_ends_at_the_limit_of_items(body: bytes) -> None:
    given_ = exchange([Write(5, body * 20), Write(6, body * 5000), Write(7, body * 20)])
    reading = read_exchange(given_, WorkBudget(4000))
    assert 20 <= len(reading.items) <= 4000
    assert reading.exchange.ending is Ending.LIMIT
    assert reading.exchange.error == "too many events and comments"
    assert len(reading.pending) == len(reading.exchange.arrivals) == 2
    found = find_findings([analyze_hop([reading])])
    assert "too many events and comments" in next(f for f in found if f.code == "UD607").message
    assert read_exchange(given_, WorkBudget(6000)).exchange is given_


def test_reading_ends_when_its_time_is_over() -> None:
    given_ = exchange([Write(5, chat_event("hi")), Write(6, chat_event("hi"))])
    calls = iter([False, True])
    reading = read_exchange(given_, WorkBudget(99, lambda: next(calls)))
    assert len(reading.items) == 1
    assert "--timeout" in (reading.exchange.error or "")


def test_payloads_are_kept_only_for_the_first_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "_KEPT_PAYLOAD_BYTES", 300)
    monkeypatch.setattr(reading_module, "_KEPT_USAGE_BYTES", 100)
    usage = b'data: {"choices": [], "usage": {"completion_tokens": 7}}\n\n'
    body = chat_event("hi") * 9 + usage * 3
    items = read_exchange(exchange([Write(5, body)])).items
    kept = [item.meaning is not None and item.meaning.payload is not None for item in items]
    assert kept[0]
    assert kept[-3:] in ([True, False, False], [True, True, False])
    assert not all(kept[:9])
    assert [item.text for item in items[:9]] == ["hi"] * 9
