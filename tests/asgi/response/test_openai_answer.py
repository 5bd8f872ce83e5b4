"""Strings that are sent as an OpenAI chat completion and decoded by OpenAI clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream, Finish, OpenAIAnswer, Usage
from undam.sse import Event, Parser


def _events(items: list[Any], answer: bool | OpenAIAnswer = True) -> list[str]:
    async def main() -> Call:
        return await Call().serve(EventStream(items, openai=answer))

    call = run(main())
    assert call.complete
    assert b"id:" not in call.body.replace(b'"id":', b"")
    return [item.data for item in Parser().receive_data(call.body) if isinstance(item, Event)]


def _chunks(items: list[Any], answer: bool | OpenAIAnswer = True) -> list[dict[str, Any]]:
    *chunks, done = _events(items, answer)
    assert done == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def test_the_first_token_carries_the_role_and_the_last_chunk_the_reason() -> None:
    first, second, last = _chunks(["Hel", "lo"])
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "Hel"}
    assert second["choices"][0]["delta"] == {"content": "lo"}
    assert second["choices"][0]["finish_reason"] is None
    assert last["choices"][0] == {
        "index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip
    assert {chunk["object"] for chunk in (first, second, last)} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in (first, second, last)}) == 1
    assert len({chunk["created"] for chunk in (first, second, last)}) == 1


def test_an_answer_without_tokens_is_valid() -> None:
    first, last = _chunks([])
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0]["finish_reason"] == "stop"


def test_every_chunk_has_the_metadata_of_the_answer() -> None:
    answer = OpenAIAnswer(
        model="m", id="chatcmpl-7", created=12, role="tool", finish_reason="length",
        usage=Usage(3, 4), extra={"system_fingerprint": "fp"},
    )  # fmt: skip
    chunks = _chunks(["a", "b"], answer)
    for chunk in chunks:
        assert (chunk["model"], chunk["id"], chunk["created"]) == ("m", "chatcmpl-7", 12)
        assert chunk["system_fingerprint"] == "fp"
    assert chunks[0]["choices"][0]["delta"]["role"] == "tool"
    assert chunks[2]["choices"][0]["finish_reason"] == "length"
    assert chunks[3]["choices"] == []
    assert chunks[3]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_the_source_may_yield_usage_and_finish_reason() -> None:
    *_, last, usage = _chunks(["a", Finish("tool_calls"), Usage(1, 2)])
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["usage"]["total_tokens"] == 3


@pytest.mark.parametrize(
    "text", ["", '"', "\\", "a\nb\r\nc", "\u2028\u2029\u0085", "\ud83d", "\U0001f600", "\0", "é"]
)
def test_any_text_arrives_unchanged_on_one_line(text: str) -> None:
    first, second, _ = _chunks([text, text])
    assert first["choices"][0]["delta"]["content"] == text
    assert second["choices"][0]["delta"]["content"] == text


def test_encoded_text_contains_no_line_end_of_any_kind() -> None:
    for event in _events(["a\u2028b", "a\u0085b\u2029"]):
        assert len(event.splitlines()) == 1


def test_bytes_are_text_and_dicts_are_sent_unchanged() -> None:
    events = _events([b"caf\xc3\xa9", {"x": 1}, Event("y", "note")])
    assert json.loads(events[0])["choices"][0]["delta"]["content"] == "café"
    assert events[1:3] == ['{"x":1}', "y"]


def test_two_requests_get_two_ids() -> None:
    async def main() -> None:
        stream = EventStream(lambda: ["a"], openai=True)
        bodies = [(await Call().serve(stream)).body for _ in range(2)]
        assert bodies[0] != bodies[1]

    run(main())
