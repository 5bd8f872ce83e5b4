"""Prompt files: error positions, and the request bodies made from the prompts."""

from __future__ import annotations

import json

import pytest

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.prompts import Prompt, read_prompts, request_bodies

TALK = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})


def request_body(api: Api, prompt: Prompt, max_tokens: int | None = None) -> dict[str, object]:
    body = json.loads(request_bodies(api, [prompt], models=["m"], max_tokens=max_tokens)[0])
    assert isinstance(body, dict)
    assert body["stream"] is True
    assert body["model"] == "m"
    return body


def test_each_line_is_a_prompt() -> None:
    lines = [
        '{"prompt": "Why?", "max_tokens": 9}\n',
        "\n",
        json.dumps({"messages": list(TALK)}),
    ]
    assert read_prompts(lines, "p.jsonl") == [Prompt("Why?", max_tokens=9), Prompt("", TALK)]


def test_trace_times_are_relative_to_the_earliest() -> None:
    lines = [
        '{"prompt": "b", "timestamp": 1000.5}',
        '{"prompt": "a", "timestamp_ms": 1000000}',
    ]
    prompts = [(prompt.text, prompt.at_ns) for prompt in read_prompts(lines, "p")]
    assert prompts == [("a", 0), ("b", 500_000_000)]


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ('{"prompt": }', 12, "not valid JSON"),
        ("[1]", 1, "an object"),
        ('{"prompt": ""}', 2, "a non-empty string"),
        ('{"a": 1}', 1, "one of `prompt`"),
        ('{"prompt": "x", "messages": []}', 17, "one of `prompt`"),
        ('{"turns": ["a", ""]}', 2, "non-empty strings"),
        ('{"messages": [{"content": "x"}]}', 2, "role"),
        ('{"prompt": "x", "max_tokens": true}', 17, "above 0"),
        ('{"prompt": "x", "timestamp": "now"}', 17, "a number"),
        ('{"prompt": "x", "timestamp": NaN}', 17, "a number"),
        ('{"prompt": "x", "timestamp": 1, "timestamp_ms": 1}', 33, "not both"),
        ("[" * 100_000, 1, "not valid JSON"),
    ],
)
def test_invalid_line_is_reported_with_its_position(line: str, column: int, message: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=message) as caught:
        read_prompts(['{"prompt": "fine"}', line], "p.jsonl")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("p.jsonl", 2, column)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no prompt"),
        (['{"prompt": "x", "timestamp": 1}', '{"prompt": "y"}'], "1 of 2"),
        (['{"prompt": "x", "timestamp": 1}', '{"prompt": "y", "timestamp": 1e9}'], "span"),
    ],
)
def test_invalid_file_is_reported(lines: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_prompts(lines, "p.jsonl")


def test_request_body_has_the_form_of_its_api() -> None:
    chat = request_body(CHAT, Prompt("Hi"), 7)
    assert chat["messages"] == [{"role": "user", "content": "Hi"}]
    assert chat["max_tokens"] == 7
    assert chat["stream_options"] == {"include_usage": True}
    assert request_body(CHAT, Prompt("Hi", max_tokens=3), 7)["max_tokens"] == 3
    assert request_body(CHAT, Prompt(messages=TALK))["messages"] == list(TALK)
    assert request_body(COMPLETIONS, Prompt("Hi"))["max_tokens"] == 512
    response = request_body(RESPONSES, Prompt(messages=TALK))
    assert response["input"] == list(TALK)
    assert "stream_options" not in response
    message = request_body(MESSAGES, Prompt(messages=TALK))
    assert message["system"] == "Be brief."
    assert message["messages"] == [TALK[1]]
    for api, prompt in ((COMPLETIONS, Prompt(messages=TALK)), (PLAIN, Prompt("Hi"))):
        with pytest.raises(UsageError):
            request_bodies(api, [prompt], models=["m"], max_tokens=None)
