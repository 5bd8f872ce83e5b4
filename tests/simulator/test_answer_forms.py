"""Forms of an answer: understood by undam.apis, stamped, complete, of the size asked for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from undam.apis import Kind, api_for_path
from undam.simulator.api_request import Call
from undam.simulator.apis.anthropic import MessageForm
from undam.simulator.apis.form import Answer, Form, TimedEvent, timed_events
from undam.simulator.apis.openai import ChatForm, CompletionForm, ResponseForm
from undam.simulator.apis.plain import JsonEventForm, NdjsonForm, TokenForm
from undam.simulator.schedule import Moment
from undam.simulator.text import Text, text_of
from undam.timing import Due, due_of

MODEL_FORMS: dict[str, Callable[[Answer], Form]] = {
    "/v1/chat/completions": ChatForm,
    "/v1/completions": CompletionForm,
    "/v1/responses": ResponseForm,
    "/v1/messages": MessageForm,
}
SSE_FORMS = {**MODEL_FORMS, "/sse": JsonEventForm}
START = 1_790_000_000_000_000_000
TEXT = Text(3)


def made(
    form: Callable[[Answer], Form], *, event_bytes: int | None = None, call: Call | None = None,
    cut: bool = False,
) -> list[TimedEvent]:  # fmt: skip
    answer = Answer(call or Call(), TEXT, 7, 1_790_000_000, 5, cut)
    moments = [Moment(100, 2), Moment(200, 2), Moment(300, 1), Moment(300, 0)]
    every = timed_events(form(answer), TEXT, moments, start_ns=START, event_bytes=event_bytes)
    return [event for event in every if event.data]


def fields(event: bytes) -> tuple[str, str]:
    """Name and data of one SSE event."""
    assert event.endswith(b"\n\n")
    lines = event.decode().removesuffix("\n\n").split("\n")
    name = lines[0].removeprefix("event: ") if len(lines) == 2 else ""
    assert lines[-1].startswith("data: ")
    return name, lines[-1].removeprefix("data: ")


@pytest.mark.parametrize("path", SSE_FORMS)
def test_the_readers_of_the_api_understand_it(path: str) -> None:
    read = api_for_path(path).read
    meanings = [read(*fields(event.data)) for event in made(SSE_FORMS[path])]
    assert not [meaning for meaning in meanings if meaning.kind in {Kind.MALFORMED, Kind.ERROR}]
    if path in MODEL_FORMS:
        content = [meaning.text for meaning in meanings if meaning.kind is Kind.CONTENT]
        assert "".join(content) == TEXT.beginning(5)
        assert len(content) == 3
        assert meanings[-1].ends


@pytest.mark.parametrize("path", SSE_FORMS)
def test_every_event_but_done_carries_its_number_and_due_time(path: str) -> None:
    events = made(SSE_FORMS[path])
    stamped = [event for event in events if event.data != b"data: [DONE]\n\n"]
    payloads = [json.loads(fields(event.data)[1]) for event in stamped]
    assert [due_of(payload) for payload in payloads] == [
        Due(seq, event.due_ns) for seq, event in enumerate(stamped)
    ]
    assert [event.due_ns - START for event in events if event.content] == [100, 200, 300]
    assert events == sorted(events, key=lambda event: event.due_ns)


def test_the_opening_leaves_with_the_first_content_and_the_end_with_the_last() -> None:
    events = made(ChatForm)
    assert [event.due_ns - START for event in events] == [100, 100, 200, 300, 300, 300]
    role = json.loads(fields(events[0].data)[1])
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-1].data == b"data: [DONE]\n\n"


def test_a_chat_chunk_has_the_keys_and_about_the_size_of_a_real_one() -> None:
    chunk = json.loads(fields(made(ChatForm)[1].data)[1])
    assert list(chunk) == ["id", "object", "created", "model", "choices", "undam"]
    assert chunk["choices"] == [
        {"index": 0, "delta": {"content": TEXT.beginning(2)}, "finish_reason": None}
    ]
    stamp = len(json.dumps(chunk["undam"], separators=(",", ":"))) + len(',"undam":')
    assert 150 <= len(made(ChatForm)[1].data) - stamp <= 190


@pytest.mark.parametrize(("cut", "reason"), [(False, "stop"), (True, "length")])
@pytest.mark.parametrize("form", [ChatForm, CompletionForm])
def test_the_finish_reason_tells_a_cut(
    form: Callable[[Answer], Form], cut: bool, reason: str
) -> None:
    finish = json.loads(fields(made(form, cut=cut)[-2].data)[1])
    assert finish["choices"][0]["finish_reason"] == reason


def test_a_cut_response_and_a_cut_message_say_so() -> None:
    name, data = fields(made(ResponseForm, cut=True)[-1].data)
    assert name == "response.incomplete"
    assert json.loads(data)["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    delta = json.loads(fields(made(MessageForm, cut=True)[-2].data)[1])
    assert delta["delta"]["stop_reason"] == "max_tokens"
    assert delta["usage"] == {"output_tokens": 5}


def test_usage_comes_only_when_asked_for() -> None:
    def kinds(call: Call) -> list[Kind]:
        return [api_for_path("/chat/completions").read(*fields(e.data)).kind
                for e in made(ChatForm, call=call)]  # fmt: skip

    assert Kind.USAGE not in kinds(Call())
    assert kinds(Call(include_usage=True))[-2:] == [Kind.USAGE, Kind.DONE]


def test_messages_come_in_anthropics_order() -> None:
    names = [fields(event.data)[0] for event in made(MessageForm)]
    assert names == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * 3,
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip


def test_sequence_numbers_of_responses_have_no_hole() -> None:
    payloads = [json.loads(fields(event.data)[1]) for event in made(ResponseForm)]
    assert [payload["sequence_number"] for payload in payloads] == list(range(len(payloads)))


@pytest.mark.parametrize(
    ("form", "size"),
    [(ChatForm, 400), (ChatForm, 4096), (ResponseForm, 512), (MessageForm, 300),
     (JsonEventForm, 200), (NdjsonForm, 200), (TokenForm, 64)],
)  # fmt: skip
def test_content_events_get_the_size_asked_for(form: Callable[[Answer], Form], size: int) -> None:
    contents = [event.data for event in made(form, event_bytes=size) if event.content]
    assert {len(data) for data in contents} == {size}
    plain = [event.data for event in made(form) if event.content]
    assert all(large.startswith(small[:8]) for large, small in zip(contents, plain, strict=True))


def test_padding_never_makes_an_event_larger_than_asked_nor_breaks_it() -> None:
    least = len(made(ChatForm)[1].data)
    for size in range(1, least + 12):
        data = made(ChatForm, event_bytes=size)[1].data
        assert len(data) <= max(size, least)
        json.loads(fields(data)[1])


def test_a_bare_token_is_about_twelve_bytes_without_a_stamp() -> None:
    data = [event.data for event in made(TokenForm)]
    assert data[0] == b"data: " + TEXT.piece(0, 2) + b"\n\n"
    sizes = [len(b"data: \n\n") + len(TEXT.piece(i, 1)) for i in range(1000)]
    assert 11 <= sum(sizes) / len(sizes) <= 13


def test_ndjson_is_one_object_a_line() -> None:
    lines = b"".join(event.data for event in made(NdjsonForm)).splitlines()
    assert [json.loads(line)["undam"]["seq"] for line in lines] == [0, 1, 2]


@pytest.mark.parametrize(
    ("form", "where"),
    [
        (ChatForm, lambda said: said["choices"][0]["message"]["content"]),
        (CompletionForm, lambda said: said["choices"][0]["text"]),
        (ResponseForm, lambda said: said["output"][0]["content"][0]["text"]),
        (MessageForm, lambda said: said["content"][0]["text"]),
        (JsonEventForm, lambda said: said["text"]),
    ],
)
def test_a_whole_answer_has_the_text_of_the_stream(
    form: Callable[[Answer], Form], where: Callable[..., str]
) -> None:
    said = form(Answer(Call(), TEXT, 1, 0, 5, False)).whole()
    assert where(said) == TEXT.beginning(5)


def test_a_models_name_cannot_break_an_event() -> None:
    call = Call(model='@"},"choices":[\n\n')
    for form in MODEL_FORMS.values():
        for event in made(form, call=call):
            _, data = fields(event.data)
            assert data == "[DONE]" or json.loads(data)


def test_every_answer_is_a_beginning_of_the_seeds_text() -> None:
    assert text_of(3).beginning(10) == TEXT.beginning(10)
    assert TEXT.beginning(20).startswith(TEXT.beginning(10))
    assert TEXT.beginning(10) != Text(4).beginning(10)
    assert TEXT.piece(4096, 2) == TEXT.piece(0, 2)
