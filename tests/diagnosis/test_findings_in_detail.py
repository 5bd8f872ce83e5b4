"""Edge cases of findings: variants of each fault, similar healthy streams, and the named hop."""

from __future__ import annotations

import pytest

from support.diagnosis_cases import (
    END,
    SHORT,
    codes,
    diagnose,
    findings_for_event_size,
    findings_in_body,
    findings_of_broken_stream,
    findings_with_head,
    head_with,
    sse,
    through,
)
from support.synthetic_streams import (
    Write,
    answer,
    block_buffer,
    chat_event,
    even_schedule,
    exchange,
    hold_to_end,
    pass_through,
)
from undam.diagnosis.reading import MAX_EVENT_BYTES
from undam.record import Ending
from undam.rules import Severity

HEARTBEATS = (
    b"id: 1\ndata: {}\n\n: ping\n\n",
    b"retry: 3000\n\n",
    b"event: ping\n\n",
    b"data:\n\n",
)
SAFE = (
    b": ping\n\n",
    b": ping\ndata: {}\n\n",
    b"id: 1\ndata: {}\n\n: ping\ndata: {}\n\n",
    b"retry: 3000\ndata: {}\n\n",
    b"event: token\ndata: {}\n\n",
    b": ping\r\n\r\n",
)


@pytest.mark.parametrize("body", HEARTBEATS)
def test_heartbeats_that_crash_readers(body: bytes) -> None:
    assert "UD301" in codes(findings_in_body(body + END))


@pytest.mark.parametrize("body", SAFE)
def test_harmless_heartbeats(body: bytes) -> None:
    assert "UD301" not in codes(findings_in_body(body + END))


def test_forms_of_other_apis_are_not_reported() -> None:
    assert "UD301" not in codes(findings_in_body(b"event: ping\n\n", api="anthropic-messages"))
    assert "UD301" not in codes(findings_in_body(b"retry: 3000\n\ndata: x\n\n", api="plain"))


@pytest.mark.parametrize(
    ("value", "fires"),
    [
        ("public, no-transform", True),
        ("private, max-age=5", True),
        ("s-maxage=1", True),
        ('max-age="60"', True),
        ("no-store, max-age=60", False),
        ("no-cache, no-transform", False),
        ("public, no-cache, no-transform, max-age=60", False),
        ('public, no-cache="Set-Cookie"', True),
        ("max-age=00", False),
        ("publicity=no", False),
    ],
)
def test_cacheable_responses(value: str, fires: bool) -> None:
    assert ("UD201" in codes(findings_with_head(("Cache-Control", value)))) is fires


@pytest.mark.parametrize(
    ("api", "payload", "said"),
    [
        ("openai-chat", {"error": {"message": "boom"}}, "boom"),
        ("openai-chat", {"error": "boom"}, "boom"),
        ("anthropic-messages", {"type": "error", "error": {"message": "Overloaded"}}, "Overloaded"),
        (
            "openai-responses",
            {"type": "response.failed", "response": {"error": {"message": "boom"}}},
            "boom",
        ),
    ],
)
def test_error_events_of_each_api_are_quoted_once(
    api: str, payload: dict[str, object], said: str
) -> None:
    found = [
        one
        for one in findings_in_body(sse(payload, payload), api=api)
        if one.severity is Severity.ERROR
    ]
    assert [one.code for one in found] == ["UD603"]  # There is no finding about a truncated stream.
    assert said in found[0].message
    assert found[0].evidence["number"] == 1


def test_an_error_in_a_document_is_quoted_instead_of_the_missing_stream() -> None:
    found = findings_in_body(b'{"error": {"message": "overloaded"}}')
    assert [one.message for one in found if one.severity is Severity.ERROR] == [
        "an error was sent inside a response with status 200: overloaded"
    ]
    assert "UD205" in codes(findings_in_body(b'{"choices": [{"message": {"content": "a"}}]}'))


def test_an_answer_without_content_is_not_called_too_short() -> None:
    for body in (END, b'data: {"unheard": "of", "choices": []}\n\n' + END):
        (found,) = [one for one in findings_in_body(body) if one.code == "UD905"]
        assert "longer answer" not in found.message
        assert "the answer is empty, or its format is unknown" in found.message


def test_error_of_a_plain_stream_is_recognised_by_its_event_name() -> None:
    assert "UD603" in codes(findings_in_body(b"event: error\ndata: boom\n\n", api="plain"))
    assert "UD603" not in codes(findings_in_body(b"event: note\ndata: error\n\n", api="plain"))


def test_end_markers_of_other_apis() -> None:
    stop: dict[str, object] = {"type": "message_stop"}
    assert "UD601" not in codes(findings_in_body(sse(stop), api="anthropic-messages"))
    assert "UD601" in codes(
        findings_in_body(sse({"type": "message_start"}), api="anthropic-messages")
    )
    assert "UD601" not in codes(findings_in_body(b"data: x\n\n", api="plain"))


def test_cut_within_an_event_is_reported_despite_complete_framing() -> None:
    for ending, words in (
        (Ending.COMPLETE, "ended cleanly in the middle"),
        (Ending.CLOSED, "closed in the middle"),
    ):
        found = findings_in_body(chat_event("hi") + chat_event("ho")[:-2], ending=ending)
        assert [one.message for one in found if one.code == "UD602" and words in one.message]


def test_cut_after_a_silence_mentions_it_and_quotes_the_error() -> None:
    broken = exchange(SHORT[:-1], ending=Ending.RESET, ended_ms=9000, error="reset by peer")
    (found,) = [one for one in diagnose(broken) if one.code == "UD602"]
    assert "s of silence" in found.message
    assert "reset by peer" in found.message


def test_total_limit_is_named_only_near_a_known_one_and_without_silence() -> None:
    assert "UD404" not in codes(findings_of_broken_stream(15_600, Ending.TRUNCATED))
    assert "UD404" in codes(
        findings_of_broken_stream(15_600, Ending.TRUNCATED, intermediaries=("envoy",))
    )
    assert "UD404" not in codes(
        findings_of_broken_stream(16_300, Ending.TRUNCATED, intermediaries=("envoy",))
    )
    silent = exchange(SHORT[:-1], ending=Ending.TRUNCATED, ended_ms=15_020)
    assert "UD404" not in codes(diagnose(silent))


def test_several_tokens_per_event_are_detected_from_usage() -> None:
    assert "UD501" in codes(findings_for_event_size(8, tokens=40))
    assert "UD501" not in codes(findings_for_event_size(8, tokens=35))
    assert "UD501" not in codes(findings_for_event_size(20, tokens=20))  # Long words.


def test_unsent_reasoning_tokens_do_not_count() -> None:
    usage = {
        "choices": [],
        "usage": {
            "completion_tokens": 2020,
            "completion_tokens_details": {"reasoning_tokens": 2000},
        },
    }
    writes = answer(even_schedule(25, 20), [" several"] * 20)
    writes.insert(-1, Write(writes[-1].at_ms, sse(usage)))
    assert "UD501" not in codes(diagnose(exchange(writes)))


def test_one_long_tool_call_is_not_several_tokens_per_event() -> None:
    texts = [" tok"] * 19 + ["x" * 20_000]
    assert "UD501" not in codes(diagnose(exchange(answer(even_schedule(25, 20), texts))))
    images = answer(even_schedule(25, 20), ["QUJD" * 100] * 20)
    assert "UD501" not in codes(diagnose(exchange(images)))
    few = answer(even_schedule(25, 7), ["x" * 40] * 7)
    assert "UD501" not in codes(diagnose(exchange(few)))


def test_oversized_event_ends_parsing_and_is_reported() -> None:
    found = findings_in_body(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))
    assert "UD605" in codes(found)


def test_binary_noise_is_one_finding_of_each_kind() -> None:
    noise = bytes(range(256)) * 64
    found = findings_in_body(b"data: \xff\xfe\n\n" * 3 + noise, ending=Ending.CLOSED)
    assert [one.code for one in found].count("UD605") == 1


def test_silence_caused_by_a_hold_is_not_blamed_on_missing_heartbeats() -> None:
    due = even_schedule(300, 100)
    assert not {"UD401", "UD402"} & codes(diagnose(through(hold_to_end(), due)))


def test_content_length_is_reported_where_it_first_appears() -> None:
    sized = head_with(("Content-Length", "9"), ("Transfer-Encoding", None))
    found = diagnose(
        exchange(SHORT, hop="edge", head=sized), exchange(SHORT, hop="model", head=sized)
    )
    assert [one.hop for one in found if one.code == "UD107"] == ["model"]
    assert [one.severity for one in found if one.code == "UD107"] == [Severity.INFO]
    (held,) = [one for one in diagnose(through(hold_to_end(), head=sized)) if one.code == "UD107"]
    assert held.severity is Severity.WARNING


def test_removed_header_is_worse_if_an_outer_hop_holds() -> None:
    none = head_with(("X-Accel-Buffering", None))
    found = diagnose(
        through(block_buffer(4096), hop="edge", head=none),
        through(pass_through(), hop="inner", head=none),
        through(pass_through(), hop="model"),
    )
    (eaten,) = [one for one in found if one.code == "UD109"]
    assert (eaten.hop, eaten.severity) == ("inner", Severity.WARNING)


def test_nginx_in_the_path_excuses_the_missing_header() -> None:
    none = exchange(SHORT, head=head_with(("X-Accel-Buffering", None)))
    assert "UD202" in codes(diagnose(none))
    assert "UD202" not in codes(diagnose(none, intermediaries=("nginx",)))


def test_exchange_without_a_head() -> None:
    found = diagnose(exchange([], head=None, ending=Ending.RESET), exchange(SHORT, hop="model"))
    assert codes(found) == {"UD604"}
    assert codes(diagnose(exchange(SHORT), exchange(SHORT, head=None, hop="model"))) == set()


def test_fault_of_an_inner_hop_is_reported_once() -> None:
    cut = [
        exchange(SHORT[:-1], hop=hop, ending=Ending.TRUNCATED) for hop in ("edge", "mid", "model")
    ]
    found = [one for one in diagnose(*cut) if one.code == "UD602"]
    assert [one.hop for one in found] == ["model"]
