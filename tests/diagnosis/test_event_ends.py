"""Servers that send the end of an event with the next event, or all of an answer in one event."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from support.diagnosis_cases import codes, diagnose
from support.synthetic_streams import (
    Write,
    block_buffer,
    chat_event,
    even_schedule,
    exchange,
    hold_to_end,
    merged,
)
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.record import Head
from undam.rules import Verdict

HOLDS = {"UD101", "UD102", "UD103", "UD104", "UD111"}
# Chinese tokens have the same size, so the bursts of a server look like blocks.
TOKENS = ["一二三四五六七八九十"[index % 10] for index in range(120)]
STEPS = [300.0 + 160 * (index // 8) for index in range(120)]


def _chat(text: str) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(delta, ensure_ascii=False).encode()


def _line(text: str) -> bytes:
    return json.dumps({"response": text}, ensure_ascii=False).encode()


FORMS: dict[str, tuple[str, list[bytes], bytes]] = {
    "blank line with the next event": (
        "text/event-stream",
        [(b"\n" if index else b"") + _chat(text) + b"\n" for index, text in enumerate(TOKENS)],
        b"\ndata: [DONE]\n\n",
    ),
    "line ends in front of each event": (
        "text/event-stream",
        [b"\n\n" + _chat(text) for text in TOKENS],
        b"\n\ndata: [DONE]\n\n",
    ),
    "line end in front of each line": (
        "application/x-ndjson",
        [b"\n" + _line(text) for text in TOKENS],
        b"\n",
    ),
    "sequence without line ends": (
        "application/json-seq",
        [b"\x1e" + _line(text) for text in TOKENS],
        b"\n",
    ),
    "array of strings": (
        "application/json",
        [b'%b"%b"' % (b"," if index else b"[", text.encode()) for index, text in enumerate(TOKENS)],
        b"]",
    ),
    "values without separators": ("application/json", [_line(text) for text in TOKENS], b" "),
}


def _hop(form: str, due: Sequence[float], size: int | None = None) -> Hop:
    kind, events, end = FORMS[form]
    writes = [Write(at, event) for at, event in zip(due, events, strict=True)]
    writes.append(Write(due[-1] + 1, end))
    reads = merged(writes) if size is None else block_buffer(size)(writes, due[-1] + 1)
    head = Head(200, "1.1", (("Content-Type", kind), ("Transfer-Encoding", "chunked")))
    return analyze_hop([read_exchange(exchange(reads, head=head, api="plain"))])


@pytest.mark.parametrize("form", FORMS)
def test_tokens_of_equal_size_are_not_called_blocks(form: str) -> None:
    hop = _hop(form, even_schedule(25, 120))
    assert hop.shape.verdict is Verdict.STREAMING, hop.shape
    assert len(hop.reading.contents) == 120
    assert not codes(diagnose(hop.exchange)) & {*HOLDS, "UD205"}


@pytest.mark.parametrize("form", FORMS)
def test_steps_of_an_engine_are_not_called_a_hold(form: str) -> None:
    for due in (STEPS, _irregular_steps()):
        hop = _hop(form, due)
        assert hop.shape.verdict in {Verdict.STREAMING, Verdict.UNKNOWN}, hop.shape


def _irregular_steps() -> list[float]:
    rng = random.Random(5)
    due: list[float] = []
    at = 300.0
    while len(due) < 120:
        due += [at] * rng.choice([17, 17, 12, 9])
        at += rng.uniform(110, 140)
    return due[:120]


@pytest.mark.parametrize("form", FORMS)
def test_blocks_of_a_buffer_are_still_found(form: str) -> None:
    hop = _hop(form, even_schedule(25, 120), 250)
    assert (hop.shape.verdict, hop.shape.release_bytes) == (Verdict.BATCHED, 250)


def _text(writes: list[Write]) -> Hop:
    head = Head(200, "1.1", (("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")))
    return analyze_hop([read_exchange(exchange(writes, head=head, api="plain"))])


@pytest.mark.parametrize("size", [512, 1000, 1500, 10_000])
def test_blocks_of_text_may_have_any_size(size: int) -> None:
    rng = random.Random(2)
    words = [f" {'word' * rng.randint(1, 3)}" for _ in range(9000)]
    writes = [Write(300 + 5.0 * index, word.encode()) for index, word in enumerate(words)]
    assert _text(merged(writes)).shape.verdict is Verdict.STREAMING
    held = _text(block_buffer(size)(writes, writes[-1].at_ms))
    assert (held.shape.verdict, held.shape.release_bytes) == (Verdict.BATCHED, size)


@pytest.mark.parametrize("width", [20, 80, 120])
def test_lines_of_text_with_a_fixed_width_are_no_blocks(width: int) -> None:
    line = b"a short line of text with several words".ljust(width - 1)[: width - 1] + b"\n"
    writes = [Write(300 + 100.0 * index, line) for index in range(60)]
    assert not _text(writes).shape.held


WHOLE = " ".join(f"word{index}" for index in range(120))


def _answer(texts: Sequence[str], *, first_ms: float = 3000) -> list[Write]:
    writes = [Write(first_ms + 25 * n, chat_event(text)) for n, text in enumerate(texts)]
    return [*writes, Write(writes[-1].at_ms, chat_event("", finish=True) + b"data: [DONE]\n\n")]


def test_an_answer_in_one_event_was_not_streamed() -> None:
    outer, inner = exchange(_answer([WHOLE])), exchange(_answer(WHOLE.split()), hop="model")
    (found,) = [one for one in diagnose(outer, inner) if one.code == "UD205"]
    assert found.hop == "edge"
    assert "text/event-stream" in found.message


@pytest.mark.parametrize(
    ("writes", "api"),
    [
        (_answer(["A short answer."]), "openai-chat"),
        (_answer([WHOLE], first_ms=20), "openai-chat"),  # from a cache
        (_answer(["QUJD" * 300]), "openai-chat"),  # an image or audio
        (_answer([WHOLE[:300], WHOLE[300:]]), "openai-chat"),
        ([Write(3000, b'data: {"event": "report", "text": "%b"}\n\n' % WHOLE.encode())], "plain"),
        (
            [Write(3000, b'data: {"jsonrpc": "2.0", "id": 1, "result": {"text": "%b"}}\n\n'
                   % WHOLE.encode())],
            "plain",
        ),
    ],
)  # fmt: skip
def test_other_single_events_are_no_fault(writes: list[Write], api: str) -> None:
    assert "UD205" not in codes(diagnose(exchange(writes, api=api)))


def test_arguments_of_a_tool_call_are_reported_as_such() -> None:
    call = {"index": 0, "function": {"name": "write", "arguments": json.dumps({"text": WHOLE})}}
    event = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    body = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(event).encode()
    found = codes(diagnose(exchange(hold_to_end()([Write(0, body)], 3000))))
    assert "UD504" in found
    assert "UD205" not in found


def test_encoded_audio_is_not_called_several_tokens() -> None:
    pieces = [random.Random(n).randbytes(90).hex() for n in range(30)]
    assert "UD501" not in codes(diagnose(exchange(_answer(pieces))))
    words = [f"{text[:9]} {text[9:40]}" for text in pieces]
    assert "UD501" in codes(diagnose(exchange(_answer(words))))
