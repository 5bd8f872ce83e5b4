"""Verdicts on every stream format that the simulator sends: healthy, and with four planted holds.

The table of docs/method.md is made from these results:

    PYTHONPATH=src UNDAM_WRITE_DOCS=1 .venv/bin/python -m pytest tests/accuracy/test_forms.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.synthetic_streams import (
    START_NS,
    HopModel,
    Write,
    block_buffer,
    exchange,
    hold_to_end,
    merged,
    one_write_behind,
    pass_through,
    timed_flush,
)
from undam.diagnosis.findings.endings import find_endings
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop, hop_metrics
from undam.diagnosis.reading import read_exchange
from undam.record import Head
from undam.rules import Verdict
from undam.simulator.api_request import ApiRequest
from undam.simulator.apis.forms import FORMS
from undam.simulator.apis.response_format import ResponseContext, due_events
from undam.simulator.dispatcher import _FORMATS
from undam.simulator.schedule import ScheduledEvent
from undam.simulator.text import model_text

PAGE = Path(__file__).parents[2] / "docs" / "method.md"
BEGIN, END = "<!-- forms: begin -->\n", "<!-- forms: end -->\n"

TTFT_MS, GAP_MS, TOKENS = 400.0, 25.0, 201
HOLDS: dict[str, HopModel] = {
    "to the end": hold_to_end(),
    "4096 bytes": block_buffer(4096),
    "300 ms": timed_flush(300, from_first_byte=True),
    "one late": one_write_behind(),
}
EXPECTED = {
    "to the end": Verdict.HELD_TO_END,
    "4096 bytes": Verdict.BATCHED,
    "300 ms": Verdict.BATCHED,
    "one late": Verdict.LATE,
}
# Binary data has no events, so each read counts as one event. A held stream has only a few reads.
WITHOUT_EVENTS = {"/forms/bytes"}


def _writes(path: str) -> tuple[list[Write], Head]:
    text = model_text(1)
    context = ResponseContext(ApiRequest(stream=True), text, 1, 1, TOKENS, cut=False)
    response_format = _FORMATS[path](context)
    due = [TTFT_MS + GAP_MS * index for index in range(TOKENS)]
    events = [ScheduledEvent(round(at * 1e6), 1) for at in due]
    end = ScheduledEvent(round((due[-1] + 1) * 1e6), 0)
    writes = [
        Write((event.due_ns - START_NS) / 1e6, event.data)
        for event in due_events(
            response_format, text, [*events, end], start_ns=START_NS, event_bytes=None
        )
        if event.data
    ]
    kind = response_format.content_type
    return writes, Head(200, "1.1", (("Content-Type", kind), ("Transfer-Encoding", "chunked")))


def _hop(path: str, hold: str = "") -> Hop:
    """Return the analyzed hop for a stream format, after the hold named ``hold`` is applied.

    A hop that is one event late is found only with due times or with an inner hop.
    """
    model = HOLDS.get(hold, pass_through())
    writes, head = _writes(path)
    reads = model(merged(writes), writes[-1].at_ms)
    api = {
        "/v1/chat/completions": "openai-chat",
        "/v1/completions": "openai-completions",
        "/v1/responses": "openai-responses",
        "/v1/messages": "anthropic-messages",
    }.get(path, "plain")
    reading = read_exchange(exchange(reads, head=head, api=api))
    if hold != "one late":
        return analyze_hop([reading])
    if any(item.due is not None for item in reading.contents):
        return analyze_hop([reading], offset=ClockOffset())
    return analyze_hop([reading], inner=_hop(path))


def _expected(path: str, hold: str) -> Verdict:
    """Return the expected verdict. A stream shorter than one block is held to its end."""
    size = sum(len(write.data) for write in _writes(path)[0])
    return Verdict.HELD_TO_END if hold == "4096 bytes" and size <= 4096 else EXPECTED[hold]


@pytest.mark.parametrize("path", sorted(_FORMATS))
def test_healthy_stream_of_every_form_is_streaming_from_its_first_content(path: str) -> None:
    hop = _hop(path)
    assert hop.shape.verdict is Verdict.STREAMING
    ttft_ms = hop_metrics(hop)["ttft_ms"]
    assert isinstance(ttft_ms, float)
    assert abs(ttft_ms - TTFT_MS) <= 5
    # The last MCP message also has content, and each word in HTML arrives in two parts.
    assert len(hop.reading.contents) in {TOKENS, TOKENS + 1, 2 * TOKENS}
    assert hop.reading.leftover_bytes == 0
    assert hop.reading.problem is None


@pytest.mark.slow
@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("path", sorted(_FORMATS.keys() - WITHOUT_EVENTS))
def test_planted_hold_of_every_form_is_found(path: str, hold: str) -> None:
    hop = _hop(path, hold)
    assert hop.shape.verdict is _expected(path, hold), hop.shape


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("path", sorted(WITHOUT_EVENTS))
def test_hold_of_binary_data_is_never_called_a_fault_of_another_kind(path: str, hold: str) -> None:
    verdict = _hop(path, hold).shape.verdict
    assert verdict in {Verdict.UNKNOWN, Verdict.STREAMING, EXPECTED[hold]}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FORMS))
def test_clean_cut_is_found_in_every_form_with_an_end_marker(path: str) -> None:
    writes, head = _writes(path)
    half = len(writes) // 2
    hop = analyze_hop([read_exchange(exchange(writes[:half], head=head, api="plain"))])
    whole = analyze_hop([read_exchange(exchange(writes, head=head, api="plain"))])
    assert not find_endings(whole)
    marked = whole.reading.announced_end and whole.reading.api.announces_end
    found = [one.code for one in find_endings(hop)]
    assert found == (["UD601"] if marked or whole.reading.is_closed else [])


def _row(path: str) -> str:
    healthy = _hop(path)
    cells = [f"{hop_metrics(healthy)['ttft_ms']:.0f} ms"]
    cells += [_hop(path, hold).shape.verdict.value for hold in HOLDS]
    reading = healthy.reading
    name = path.removeprefix("/forms/")
    return f"| `{name}` | {reading.framing.value} | {reading.api.name} | {' | '.join(cells)} |\n"


def _table() -> str:
    heads = ("form", "framing", "API", "healthy: TTFT", *HOLDS)
    lines = [f"| {' | '.join(heads)} |\n", f"|{'---|' * len(heads)}\n"]
    return "".join([*lines, *map(_row, sorted(_FORMATS))])


@pytest.mark.slow
def test_table_of_forms_is_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    table = f"\n{_table()}\n"
    if os.environ.get("UNDAM_WRITE_DOCS"):
        PAGE.write_text(f"{before}{BEGIN}{table}{END}{after}", "utf-8")
        return
    assert old == table, __doc__


@pytest.mark.parametrize("path", ["/forms/vercel-text", "/forms/html"])
def test_blocks_of_text_without_events_are_found(path: str) -> None:
    text = model_text(2)
    context = ResponseContext(ApiRequest(stream=True), text, 1, 1, 4000, cut=False)
    response_format = _FORMATS[path](context)
    events = [ScheduledEvent(round((400 + 5 * index) * 1e6), 1) for index in range(4000)]
    writes = [
        Write((event.due_ns - START_NS) / 1e6, event.data)
        for event in due_events(response_format, text, events, start_ns=START_NS, event_bytes=None)
    ]
    reads = block_buffer(4096)(writes, writes[-1].at_ms)
    head = Head(200, "1.1", (("Content-Type", response_format.content_type),))
    shape = analyze_hop([read_exchange(exchange(reads, head=head, api="plain"))]).shape
    assert (shape.verdict, shape.release_bytes) == (Verdict.BATCHED, 4096)


def test_blocks_of_binary_data_are_unknown() -> None:
    blocks = [Write(400.0 + 80 * index, bytes([0, index]) * 2048) for index in range(12)]
    head = Head(200, "1.1", (("Content-Type", "audio/pcm"),))
    shape = analyze_hop([read_exchange(exchange(blocks, head=head, api="plain"))]).shape
    assert shape.verdict is Verdict.UNKNOWN
    assert "blocks of 4096 bytes" in shape.reason
