"""Response formats: undam.apis can parse them, and timestamps, ends and padding are correct."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from undam.apis import Kind, api_for_path
from undam.simulator.api_request import ApiRequest
from undam.simulator.apis.anthropic import MessagesFormat
from undam.simulator.apis.openai import ChatFormat, CompletionFormat, ResponsesFormat
from undam.simulator.apis.plain import JsonEventFormat, NdjsonFormat, TokenFormat
from undam.simulator.apis.response_format import (
    DueEvent,
    ResponseContext,
    ResponseFormat,
    due_events,
)
from undam.simulator.schedule import ScheduledEvent
from undam.simulator.text import ModelText, model_text
from undam.timing import Due, due_of

MODEL_FORMATS: dict[str, Callable[[ResponseContext], ResponseFormat]] = {
    "/v1/chat/completions": ChatFormat,
    "/v1/completions": CompletionFormat,
    "/v1/responses": ResponsesFormat,
    "/v1/messages": MessagesFormat,
}
SSE_FORMATS = {**MODEL_FORMATS, "/sse": JsonEventFormat}
START = 1_790_000_000_000_000_000
TEXT = ModelText(3)


def create_events(
    response_format: Callable[[ResponseContext], ResponseFormat], *, event_bytes: int | None = None,
    request: ApiRequest | None = None, cut: bool = False,
) -> list[DueEvent]:  # fmt: skip
    context = ResponseContext(request or ApiRequest(), TEXT, 7, 1_790_000_000, 5, cut)
    scheduled_events = [
        ScheduledEvent(100, 2),
        ScheduledEvent(200, 2),
        ScheduledEvent(300, 1),
        ScheduledEvent(300, 0),
    ]
    events = due_events(
        response_format(context), TEXT, scheduled_events, start_ns=START, event_bytes=event_bytes
    )
    return [event for event in events if event.data]


def fields(event: bytes) -> tuple[str, str]:
    """Return the event name and the data of an SSE event."""
    assert event.endswith(b"\n\n")
    lines = event.decode().removesuffix("\n\n").split("\n")
    name = lines[0].removeprefix("event: ") if len(lines) == 2 else ""
    assert lines[-1].startswith("data: ")
    return name, lines[-1].removeprefix("data: ")


@pytest.mark.parametrize("path", SSE_FORMATS)
def test_the_parser_of_the_api_reads_all_events(path: str) -> None:
    read = api_for_path(path).read
    meanings = [read(*fields(event.data)) for event in create_events(SSE_FORMATS[path])]
    assert not [meaning for meaning in meanings if meaning.kind in {Kind.MALFORMED, Kind.ERROR}]
    if path in MODEL_FORMATS:
        content = [meaning.text for meaning in meanings if meaning.kind is Kind.CONTENT]
        assert "".join(content) == TEXT.prefix(5)
        assert len(content) == 3
        assert meanings[-1].ends


@pytest.mark.parametrize("path", SSE_FORMATS)
def test_every_event_but_done_has_its_number_and_due_time(path: str) -> None:
    events = create_events(SSE_FORMATS[path])
    stamped = [event for event in events if event.data != b"data: [DONE]\n\n"]
    payloads = [json.loads(fields(event.data)[1]) for event in stamped]
    assert [due_of(payload) for payload in payloads] == [
        Due(seq, event.due_ns) for seq, event in enumerate(stamped)
    ]
    assert [event.due_ns - START for event in events if event.content] == [100, 200, 300]
    assert events == sorted(events, key=lambda event: event.due_ns)


def test_opening_events_are_due_with_the_first_content_and_the_end_with_the_last() -> None:
    events = create_events(ChatFormat)
    assert [event.due_ns - START for event in events] == [100, 100, 200, 300, 300, 300]
    role = json.loads(fields(events[0].data)[1])
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-1].data == b"data: [DONE]\n\n"


def test_a_chat_chunk_resembles_a_real_one() -> None:
    chunk = json.loads(fields(create_events(ChatFormat)[1].data)[1])
    assert list(chunk) == ["id", "object", "created", "model", "choices", "undam"]
    assert chunk["choices"] == [
        {"index": 0, "delta": {"content": TEXT.prefix(2)}, "finish_reason": None}
    ]
    stamp = len(json.dumps(chunk["undam"], separators=(",", ":"))) + len(',"undam":')
    assert 150 <= len(create_events(ChatFormat)[1].data) - stamp <= 190


@pytest.mark.parametrize(("cut", "reason"), [(False, "stop"), (True, "length")])
@pytest.mark.parametrize("response_format", [ChatFormat, CompletionFormat])
def test_the_finish_reason_marks_a_shortened_response(
    response_format: Callable[[ResponseContext], ResponseFormat], cut: bool, reason: str
) -> None:
    finish = json.loads(fields(create_events(response_format, cut=cut)[-2].data)[1])
    assert finish["choices"][0]["finish_reason"] == reason


def test_shortened_responses_and_messages_have_a_reason() -> None:
    name, data = fields(create_events(ResponsesFormat, cut=True)[-1].data)
    assert name == "response.incomplete"
    assert json.loads(data)["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    delta = json.loads(fields(create_events(MessagesFormat, cut=True)[-2].data)[1])
    assert delta["delta"]["stop_reason"] == "max_tokens"
    assert delta["usage"] == {"output_tokens": 5}


def test_usage_is_sent_on_request_only() -> None:
    def kinds(request: ApiRequest) -> list[Kind]:
        return [api_for_path("/chat/completions").read(*fields(e.data)).kind
                for e in create_events(ChatFormat, request=request)]  # fmt: skip

    assert Kind.USAGE not in kinds(ApiRequest())
    assert kinds(ApiRequest(include_usage=True))[-2:] == [Kind.USAGE, Kind.DONE]


def test_messages_events_are_in_anthropics_order() -> None:
    names = [fields(event.data)[0] for event in create_events(MessagesFormat)]
    assert names == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * 3,
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip


def test_sequence_numbers_of_responses_are_consecutive() -> None:
    payloads = [json.loads(fields(event.data)[1]) for event in create_events(ResponsesFormat)]
    assert [payload["sequence_number"] for payload in payloads] == list(range(len(payloads)))


@pytest.mark.parametrize(
    ("response_format", "size"),
    [(ChatFormat, 400), (ChatFormat, 4096), (ResponsesFormat, 512), (MessagesFormat, 300),
     (JsonEventFormat, 200), (NdjsonFormat, 200), (TokenFormat, 64)],
)  # fmt: skip
def test_content_events_are_padded_to_the_requested_size(
    response_format: Callable[[ResponseContext], ResponseFormat], size: int
) -> None:
    contents = [
        event.data for event in create_events(response_format, event_bytes=size) if event.content
    ]
    assert {len(data) for data in contents} == {size}
    plain = [event.data for event in create_events(response_format) if event.content]
    assert all(large.startswith(small[:8]) for large, small in zip(contents, plain, strict=True))


def test_padding_never_exceeds_the_size_or_breaks_an_event() -> None:
    least = len(create_events(ChatFormat)[1].data)
    for size in range(1, least + 12):
        data = create_events(ChatFormat, event_bytes=size)[1].data
        assert len(data) <= max(size, least)
        json.loads(fields(data)[1])


def test_a_bare_token_is_about_twelve_bytes_without_a_stamp() -> None:
    data = [event.data for event in create_events(TokenFormat)]
    assert data[0] == b"data: " + TEXT.piece(0, 2) + b"\n\n"
    sizes = [len(b"data: \n\n") + len(TEXT.piece(i, 1)) for i in range(1000)]
    assert 11 <= sum(sizes) / len(sizes) <= 13


def test_ndjson_has_one_object_per_line() -> None:
    lines = b"".join(event.data for event in create_events(NdjsonFormat)).splitlines()
    assert [json.loads(line)["undam"]["seq"] for line in lines] == [0, 1, 2]


@pytest.mark.parametrize(
    ("response_format", "text_of"),
    [
        (ChatFormat, lambda body: body["choices"][0]["message"]["content"]),
        (CompletionFormat, lambda body: body["choices"][0]["text"]),
        (ResponsesFormat, lambda body: body["output"][0]["content"][0]["text"]),
        (MessagesFormat, lambda body: body["content"][0]["text"]),
        (JsonEventFormat, lambda body: body["text"]),
    ],
)
def test_a_non_streaming_response_has_the_text_of_the_stream(
    response_format: Callable[[ResponseContext], ResponseFormat], text_of: Callable[..., str]
) -> None:
    body = response_format(ResponseContext(ApiRequest(), TEXT, 1, 0, 5, False)).whole()
    assert text_of(body) == TEXT.prefix(5)


def test_a_hostile_model_name_does_not_break_events() -> None:
    request = ApiRequest(model='@"},"choices":[\n\n')
    for response_format in MODEL_FORMATS.values():
        for event in create_events(response_format, request=request):
            _, data = fields(event.data)
            assert data == "[DONE]" or json.loads(data)


def test_every_response_is_a_prefix_of_the_text() -> None:
    assert model_text(3).prefix(10) == TEXT.prefix(10)
    assert TEXT.prefix(20).startswith(TEXT.prefix(10))
    assert TEXT.prefix(10) != ModelText(4).prefix(10)
    assert TEXT.piece(4096, 2) == TEXT.piece(0, 2)
