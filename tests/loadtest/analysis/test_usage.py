"""Token usage in each API: prompt, cached and reasoning tokens; reasoning-only content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from undam.apis import CHAT, MESSAGES, RESPONSES, Api
from undam.apis.shape import FORM_APIS
from undam.framing import Framing
from undam.loadtest.analysis.counting import EventCounter
from undam.loadtest.analysis.template import TemplateSet
from undam.loadtest.analysis.usage import NO_USAGE, PromptUsage, is_reasoning, usage_of

OLLAMA = FORM_APIS["ollama"]
BLOCK = {"type": "content_block_delta"}


def chat(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("api", "payload", "expected"),
    [
        (CHAT, {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}, (9, None, None)),
        (
            CHAT,
            {"choices": [], "usage": {
                "prompt_tokens": 90, "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 2}}},
            (90, 64, 2),
        ),
        # DeepSeek.
        (CHAT, {"usage": {"prompt_tokens": 90, "prompt_cache_hit_tokens": 8}}, (90, 8, None)),
        (CHAT, {"usage": {"prompt_tokens": 9, "prompt_tokens_details": None}}, (9, None, None)),
        (
            MESSAGES,
            {"type": "message_start", "message": {"usage": {
                "input_tokens": 10, "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": 5, "output_tokens": 1}}},
            (65, 50, None),
        ),
        (
            RESPONSES,
            {"type": "response.completed", "response": {"usage": {
                "input_tokens": 70, "output_tokens": 5,
                "input_tokens_details": {"cached_tokens": 32},
                "output_tokens_details": {"reasoning_tokens": 4}}}},
            (70, 32, 4),
        ),
        (CHAT, chat(content="x"), (None, None, None)),
        (CHAT, {"choices": [], "usage": {"prompt_tokens": "9"}}, (None, None, None)),
        (CHAT, {"choices": [], "usage": [1]}, (None, None, None)),
    ],
)  # fmt: skip
def test_usage_of_each_api(api: Api, payload: dict[str, Any], expected: tuple[Any, ...]) -> None:
    meaning = api.read("message", json.dumps(payload))
    assert usage_of(meaning) == PromptUsage(*expected)


def test_later_counts_replace_earlier_ones_and_missing_ones_do_not() -> None:
    first = PromptUsage(10, 4, None)
    assert first.updated(PromptUsage(None, None, 7)) == PromptUsage(10, 4, 7)
    assert first.updated(PromptUsage(12)).prompt == 12
    assert NO_USAGE.updated(first) == first


@pytest.mark.parametrize(
    ("api", "payload", "expected"),
    [
        (CHAT, chat(content="x"), False),
        (CHAT, chat(reasoning_content="x"), True),
        (CHAT, chat(reasoning="x"), True),
        (CHAT, chat(content="x", reasoning="y"), False),
        (CHAT, chat(tool_calls=[{"function": {"arguments": "{"}}], reasoning="y"), False),
        (CHAT, {"choices": [{"text": "x"}]}, False),
        (MESSAGES, {**BLOCK, "delta": {"type": "thinking_delta", "thinking": "x"}}, True),
        (MESSAGES, {**BLOCK, "delta": {"type": "text_delta", "text": "x"}}, False),
        (RESPONSES, {"type": "response.reasoning_summary_text.delta", "delta": "x"}, True),
        (RESPONSES, {"type": "response.output_text.delta", "delta": "x"}, False),
        (OLLAMA, {"message": {"thinking": "x", "content": ""}, "done": False}, True),
        (OLLAMA, {"message": {"thinking": "", "content": "x"}, "done": False}, False),
        (OLLAMA, {"thinking": "x", "response": "", "done": False}, True),
        (OLLAMA, {"thinking": "x", "response": "y", "done": False}, False),
    ],
)  # fmt: skip
def test_reasoning_of_each_api(api: Api, payload: dict[str, Any], expected: bool) -> None:
    assert is_reasoning(api.read("message", json.dumps(payload))) is expected


def test_counter_notes_the_first_answer_also_through_templates() -> None:
    templates = TemplateSet(CHAT.read)
    for _ in range(3):
        counter = EventCounter(Framing.SSE, CHAT.read, templates)
        for number in range(6):
            key = "reasoning_content" if number < 4 else "content"
            event = f"data: {json.dumps(chat(**{key: f'word {number}'}))}\n\n"
            counter.receive_data(event.encode())
            assert counter.has_answer is (number >= 4)
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 6}}
        counter.receive_data(f"data: {json.dumps(usage)}\n\n".encode())
        assert (counter.tokens, counter.usage.prompt) == (6, 7)
    assert {template.reasoning for template in templates.known} == {True, False}


def test_usage_in_each_event_is_never_skipped_by_a_template() -> None:
    templates = TemplateSet(CHAT.read)
    counter = EventCounter(Framing.SSE, CHAT.read, templates)
    for number in range(8):
        payload = {**chat(content="x"), "usage": {"prompt_tokens": 9 + number}}
        counter.receive_data(f"data: {json.dumps(payload)}\n\n".encode())
    assert counter.usage.prompt == 16


@pytest.mark.parametrize(("completion_tokens", "expected"), [(0, None), (3, 3)])
def test_zero_tokens_after_content_are_not_a_count(
    completion_tokens: int, expected: int | None
) -> None:
    counter = EventCounter(Framing.SSE, CHAT.read, TemplateSet(CHAT.read))
    usage = {"choices": [], "usage": {"completion_tokens": completion_tokens}}
    counter.receive_data(f"data: {json.dumps(usage)}\n\n".encode())
    assert counter.reported_tokens == completion_tokens
    counter.receive_data(f"data: {json.dumps(chat(content='x'))}\n\n".encode())
    assert counter.reported_tokens == expected
