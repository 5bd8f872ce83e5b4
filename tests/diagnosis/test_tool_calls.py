"""Tool arguments that arrive all at once after a pause, and arguments that are streamed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from support.diagnosis_cases import codes, diagnose, head_with
from support.synthetic_streams import Write, chat_event, exchange
from undam.diagnosis.findings.tool_calls import argument_bursts
from undam.diagnosis.reading import read_exchange
from undam.record import Exchange
from undam.rules import Finding, Severity

END = chat_event("", finish=True) + b"data: [DONE]\n\n"


def call(arguments: str, index: int = 0, name: str = "") -> bytes:
    """Return a chunk that contains a fragment of a tool call."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    delta = {"tool_calls": [{"index": index, "function": function}]}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def text(start_ms: float, count: int, gap_ms: float = 30) -> list[Write]:
    return [Write(start_ms + gap_ms * i, chat_event(f"think {i} ")) for i in range(count)]


def stream(*writes: Write, api: str = "openai-chat") -> Exchange:
    ordered = sorted(writes, key=lambda one: one.at_ms)
    return exchange([*ordered, Write(ordered[-1].at_ms + 5, END)], api=api)


def pieces(start_ms: float, chars: int, size: int, gap_ms: float) -> list[Write]:
    return [Write(start_ms + gap_ms * i, call("x" * size)) for i in range(max(1, chars // size))]


def whole(found: Sequence[Finding]) -> list[Finding]:
    return [one for one in found if one.code == "UD504"]


def test_arguments_at_once_after_six_seconds_of_silence() -> None:
    given = stream(
        *text(200, 40), Write(7400, call("", name="write")), Write(7401, call("x" * 3000))
    )
    (found,) = whole(diagnose(given))
    assert found.severity is Severity.WARNING
    assert found.evidence["chars"] == 3005
    assert found.evidence["silent_s"] == pytest.approx(6.0, abs=0.1)
    assert found.evidence["other_events"] == 40
    assert found.fix is not None
    assert "--tool-call-parser" in found.fix.text


@pytest.mark.parametrize("silence_s", [1.1, 30.0, 329.5])
@pytest.mark.parametrize("chars", [250, 85_744])
def test_siblings_with_other_sizes_and_silences(silence_s: float, chars: int) -> None:
    start = 1400 + 1000 * silence_s
    (found,) = whole(diagnose(stream(*text(200, 41), Write(start, call("x" * chars)))))
    assert found.evidence["silent_s"] == pytest.approx(silence_s, abs=0.1)


def test_many_small_pieces_in_one_burst_are_whole_as_well() -> None:
    burst = pieces(5000, 1200, 4, 0.05)
    (found,) = whole(diagnose(stream(*text(200, 40), *burst)))
    assert (found.evidence["chars"], found.evidence["argument_events"]) == (1200, 300)


def test_two_calls_that_are_each_whole() -> None:
    calls = [Write(4000, call("x" * 900)), Write(8000, call("y" * 900, index=1))]
    (found,) = whole(diagnose(stream(*text(200, 40), *calls)))
    assert found.evidence["chars"] == 900


def test_anthropic_gets_its_own_flag() -> None:
    def event(payload: dict[str, object]) -> bytes:
        return b"data: " + json.dumps(payload).encode() + b"\n\n"

    def delta(part: dict[str, object]) -> bytes:
        return event({"type": "content_block_delta", "index": 0, "delta": part})

    writes = [
        Write(200 + 30 * i, delta({"type": "text_delta", "text": f"t{i} "})) for i in range(20)
    ]
    writes.append(Write(6000, delta({"type": "input_json_delta", "partial_json": "x" * 2000})))
    writes.append(Write(6010, event({"type": "message_stop"})))
    (found,) = whole(diagnose(exchange(writes, api="anthropic-messages")))
    assert found.fix is not None
    assert "eager_input_streaming" in found.fix.text


HEALTHY = {
    "arguments that stream": [*text(200, 40), *pieces(2000, 3000, 12, 30)],
    "short arguments after a silence": [*text(200, 40), Write(5000, call('{"city": "Paris"}'))],
    "long arguments without a silence": [*text(200, 40), Write(1450, call("x" * 3000))],
    "a pause in front of arguments that stream": [*text(200, 40), *pieces(6000, 3000, 12, 30)],
    "a stall within arguments that stream": [
        *text(200, 40), *pieces(2000, 1500, 12, 30), *pieces(8000, 1500, 12, 30),
    ],
    "a burst after a stall of arguments that stream": [
        *text(200, 40), *pieces(2000, 1500, 12, 30), Write(8000, call("x" * 300)),
        *pieces(8030, 900, 12, 30),
    ],
    "no call": text(200, 60),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_calls_are_not_reported(name: str) -> None:
    assert whole(diagnose(stream(*HEALTHY[name]))) == []


def test_a_stream_that_is_held_as_a_whole_has_only_that_finding() -> None:
    at_once = [Write(6000, chat_event("a") * 20 + call("x" * 3000))]
    found = diagnose(stream(*at_once))
    assert "UD101" in codes(found)
    assert whole(found) == []


def test_the_finding_is_that_of_the_hop_where_it_begins() -> None:
    inner = stream(*text(200, 40), *pieces(2000, 3000, 12, 30))
    collected = Write(10_000, call("x" * 3000))
    outer = stream(*text(200, 40), collected)
    found = whole(diagnose(outer, exchange_named(inner, "model")))
    assert [one.hop for one in found] == ["edge"]
    both = whole(diagnose(outer, exchange_named(stream(*text(200, 40), collected), "model")))
    assert [one.hop for one in both] == ["model"]


def exchange_named(given: Exchange, name: str) -> Exchange:
    return replace(given, hop=name)


def test_bursts_of_arguments() -> None:
    given = stream(*text(200, 2), *pieces(1000, 20, 10, 1), *pieces(3000, 20, 10, 1))
    bursts = argument_bursts(read_exchange(given))
    assert [(one.events, one.chars) for one in bursts] == [(2, 20), (2, 20)]


@pytest.mark.parametrize(("every_s", "severity"), [(5, Severity.INFO), (45, Severity.WARNING)])
def test_heartbeats_while_the_arguments_are_collected(every_s: int, severity: Severity) -> None:
    beats = [Write(1400 + 1000.0 * at, b": ping\n\n") for at in range(every_s, 60, every_s)]
    given = stream(*text(200, 40), *beats, Write(61_400, call("x" * 3000)))
    (found,) = whole(diagnose(given))
    assert found.severity is severity
    assert ("with only heartbeats" in found.message) is (severity is Severity.INFO)


def gemini(parts: Sequence[object], finish: str | None = None) -> bytes:
    candidate = {"content": {"parts": parts}, **({"finishReason": finish} if finish else {})}
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"


def test_gemini_and_ollama_get_the_fix_that_they_have() -> None:
    words = [Write(200 + 30 * i, gemini([{"text": f"w{i} "}])) for i in range(30)]
    one_call = gemini([{"functionCall": {"name": "write", "args": {"text": "x" * 900}}}], "STOP")
    (found,) = whole(diagnose(exchange([*words, Write(5000, one_call)], api="plain")))
    assert found.fix is not None
    assert "streamFunctionCallArguments" in found.fix.text
    assert "tool-call-parser" not in found.fix.text
    lines = [{"message": {"content": f"w{i} "}, "done": False} for i in range(30)]
    function = {"name": "write", "arguments": {"text": "x" * 900}}
    last = {"message": {"tool_calls": [{"function": function}]}, "done": False}
    writes = [
        Write(200 + 30 * i + (4000 if one is last else 0), f"{json.dumps(one)}\n".encode())
        for i, one in enumerate([*lines, last, {"message": {"content": ""}, "done": True}])
    ]
    head = head_with(("Content-Type", "application/x-ndjson"))
    writes[-1] = replace(writes[-1], at_ms=writes[-2].at_ms + 5)
    (found,) = whole(diagnose(exchange(writes, head=head, api="plain")))
    assert found.fix is not None
    assert "Ollama sends each call whole" in found.fix.text


def test_arguments_that_vertex_ai_streams_are_not_reported() -> None:
    parts = [{"jsonPath": "$.text", "stringValue": "x" * 12, "willContinue": True}]
    pieces_of_call = [
        Write(5000 + 10 * i, gemini([{"functionCall": {"partialArgs": parts}}])) for i in range(80)
    ]
    given = exchange([*pieces_of_call, Write(5900, gemini([{"text": ""}], "STOP"))], api="plain")
    bursts = argument_bursts(read_exchange(given))
    assert (len(bursts), sum(burst.chars for burst in bursts)) == (80, 960)
    assert not whole(diagnose(given))
