"""Prompts from a file, with the place of every mistake, and the bodies they become."""

from __future__ import annotations

import json

import pytest

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.prompts import Prompt, read_prompts, request_bodies
from undam.loadtest.setup.synthetic_prompts import make_prompts
from undam.timing.distribution import parse_distribution

TALK = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})


def body(api: Api, prompt: Prompt, max_tokens: int | None = None) -> dict[str, object]:
    made = json.loads(request_bodies(api, [prompt], model="m", max_tokens=max_tokens)[0])
    assert isinstance(made, dict)
    assert made["stream"] is True
    assert made["model"] == "m"
    return made


def test_lines_are_prompts() -> None:
    lines = [
        '{"prompt": "Why?", "max_tokens": 9}\n',
        "\n",
        json.dumps({"messages": list(TALK)}),
    ]
    assert read_prompts(lines, "p.jsonl") == [Prompt("Why?", max_tokens=9), Prompt("", TALK)]


def test_a_trace_counts_from_its_first_time() -> None:
    lines = [
        '{"prompt": "b", "timestamp": 1000.5}',
        '{"prompt": "a", "timestamp_ms": 1000000}',
    ]
    found = [(one.text, one.at_ns) for one in read_prompts(lines, "p")]
    assert found == [("a", 0), ("b", 500_000_000)]


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ('{"prompt": }', 12, "no JSON"),
        ("[1]", 1, "an object"),
        ('{"prompt": ""}', 2, "a text"),
        ('{"a": 1, "prompt": "x"}', 2, "unknown key 'a'"),
        ('{"prompt": "x", "messages": []}', 17, "one of them"),
        ('{"messages": [{"content": "x"}]}', 2, "role"),
        ('{"prompt": "x", "max_tokens": true}', 17, "above 0"),
        ('{"prompt": "x", "timestamp": "now"}', 17, "a number"),
        ('{"prompt": "x", "timestamp": NaN}', 17, "a number"),
        ('{"prompt": "x", "timestamp": 1, "timestamp_ms": 1}', 33, "exclude"),
        ("[" * 100_000, 1, "no JSON"),
    ],
)
def test_a_bad_line_is_named_by_its_place(line: str, column: int, said: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=said) as caught:
        read_prompts(['{"prompt": "fine"}', line], "p.jsonl")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("p.jsonl", 2, column)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no prompt"),
        (['{"prompt": "x", "timestamp": 1}', '{"prompt": "y"}'], "1 of 2"),
        (['{"prompt": "x", "timestamp": 1}', '{"prompt": "y", "timestamp": 1e9}'], "span"),
    ],
)
def test_a_file_as_a_whole_can_be_wrong(lines: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_prompts(lines, "p.jsonl")


def test_each_api_is_asked_in_its_own_form() -> None:
    chat = body(CHAT, Prompt("Hi"), 7)
    assert chat["messages"] == [{"role": "user", "content": "Hi"}]
    assert chat["max_tokens"] == 7
    assert chat["stream_options"] == {"include_usage": True}
    assert body(CHAT, Prompt("Hi", max_tokens=3), 7)["max_tokens"] == 3
    assert body(CHAT, Prompt(messages=TALK))["messages"] == list(TALK)
    assert body(COMPLETIONS, Prompt("Hi"))["max_tokens"] == 512
    response = body(RESPONSES, Prompt(messages=TALK))
    assert response["input"] == list(TALK)
    assert "stream_options" not in response
    message = body(MESSAGES, Prompt(messages=TALK))
    assert message["system"] == "Be brief."
    assert message["messages"] == [TALK[1]]
    for api, prompt in ((COMPLETIONS, Prompt(messages=TALK)), (PLAIN, Prompt("Hi"))):
        with pytest.raises(UsageError):
            request_bodies(api, [prompt], model="m", max_tokens=None)


def test_prompts_are_made_seeded_different_and_bounded() -> None:
    made = make_prompts(100, None, 1)
    assert made == make_prompts(100, None, 1)
    assert len({one[:20] for one in made}) > 90, "no common prefix for a cache"
    assert {len(one.split()) for one in make_prompts(5, parse_distribution("40"), 1)} == {40}
    assert len(make_prompts(10**9, None, 1)) <= 512
    long = make_prompts(100, parse_distribution("100000"), 1)
    assert 1 <= len(long) < 5
