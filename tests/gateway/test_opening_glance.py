"""What the first content looks like at a glance, by the events that model servers send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.gateway.opening import Opening


def _chat(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}


def _call(**function: str) -> dict[str, Any]:
    return _chat({"tool_calls": [{"index": 0, "function": function}]})


_CONTENT: list[tuple[Api, dict[str, Any]]] = [
    (CHAT, _chat({"content": "Hi"})),
    (CHAT, _chat({"content": "\n"})),
    (CHAT, _chat({"content": '"'})),
    (CHAT, _chat({"role": "assistant", "content": "Hi"})),
    (CHAT, _chat({"reasoning_content": "Hm"})),
    (CHAT, _chat({"reasoning": "Hm", "content": ""})),
    (CHAT, _chat({"refusal": "No"})),
    (CHAT, _call(arguments="{")),
    (COMPLETIONS, {"id": "c", "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"thinking": "Hm"}}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"partial_json": "{"}}),
    (RESPONSES, {"type": "response.output_text.delta", "delta": "Hi"}),
]
_NONE: list[tuple[Api, dict[str, Any]]] = [
    (CHAT, _chat({"role": "assistant", "content": ""})),
    (CHAT, _chat({"role": "assistant", "content": None, "reasoning_content": None})),
    (CHAT, {"choices": [], "usage": {"completion_tokens": 0}}),
    (CHAT, {"choices": [], "prompt_filter_results": [{"content_filter_results": {}}]}),
    (COMPLETIONS, {"choices": [{"index": 0, "text": "", "finish_reason": None}]}),
    (MESSAGES, {"type": "message_start", "message": {"role": "assistant", "content": []}}),
    (MESSAGES, {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
    (MESSAGES, {"type": "ping"}),
    (RESPONSES, {"type": "response.created", "response": {"output": [], "text": {"a": "b"}}}),
    (RESPONSES, {"type": "response.content_part.added", "part": {"type": "output_text"}}),
]


def _bytes(payload: dict[str, Any], separators: tuple[str, str]) -> bytes:
    return b"data: " + json.dumps(payload, separators=separators).encode() + b"\n\n"


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["wide", "tight"])
@pytest.mark.parametrize(
    ("api", "payload", "is_content"),
    [(*one, True) for one in _CONTENT] + [(*one, False) for one in _NONE],
)
def test_what_looks_like_content_is_and_what_does_not_is_none(
    api: Api, payload: dict[str, Any], is_content: bool, separators: tuple[str, str]
) -> None:
    data, opening = _bytes(payload, separators), Opening(api)
    assert opening.looks_like_content(data) is is_content
    assert opening.take(data) is is_content
    assert opening.content is is_content


def test_neither_a_text_within_a_text_nor_a_large_event_looks_like_it() -> None:
    opening = Opening(CHAT)
    quoted = _bytes(_chat({"role": '{"content": "x"}', "content": ""}), (", ", ": "))
    assert b'content\\": \\"x' in quoted
    assert not opening.looks_like_content(quoted)
    assert not opening.looks_like_content(_bytes(_chat({"content": "x" * 1024}), (", ", ": ")))
    assert not opening.looks_like_content(b": ping\n\n")
