"""Workload files from other tools: requests, times, lengths, and the position of each error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.prompts import Prompt
from undam.loadtest.setup.traces import read_workload
from undam.loadtest.setup.unique import PLACEHOLDER, RUN_PLACEHOLDER, mark_position, marked


def read(text: str) -> list[Prompt]:
    return read_workload(text.splitlines(keepends=True), "w")


def words(prompt: Prompt) -> int:
    return len(prompt.text.split())


def test_share_gpt_turns_have_the_recorded_history() -> None:
    one = {"id": "x", "conversations": [
        {"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"},
        {"from": "human", "value": "more"}, {"from": "gpt", "value": "bye"},
    ]}  # fmt: skip
    other = {"conversations": [{"role": "user", "content": "a"}, {"from": "tool", "value": "b"}]}
    prompts = read(json.dumps([one, other, {"conversations": []}, 5], indent=1))
    contents = [[message["content"] for message in prompt.messages] for prompt in prompts]
    assert contents == [["hi"], ["hi", "hello", "more"], ["a"]]
    assert [prompt.session for prompt in prompts] == [0, 0, 1]
    lines = "\n".join(map(json.dumps, [one, {"conversations": []}, other]))
    assert [len(prompt.messages) for prompt in read(lines)] == [1, 3, 1]


ARRAY: list[dict[str, Any]] = [
    {"prompt": "a", "max_tokens": 5},
    {"messages": [{"role": "user", "content": "b"}]},
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ARRAY),
        json.dumps(ARRAY, indent=2),
        "\ufeff" + "\r\n".join(map(json.dumps, ARRAY)),
        "\n\n" + "\n".join(map(json.dumps, ARRAY)),
    ],
    ids=["array", "indented", "byte order mark", "blank lines"],
)
def test_prompts_may_be_an_array_or_lines(text: str) -> None:
    first, second = read(text)
    assert (first.text, first.max_tokens, second.messages) == ("a", 5, tuple(ARRAY[1]["messages"]))


def test_invalid_item_of_an_array_is_named() -> None:
    with pytest.raises(UsageError, match=r"^w: item 2 of the array: `prompt` must be"):
        read(json.dumps([{"prompt": "a"}, {"prompt": 5}], indent=1))


def test_mooncake_blocks_share_their_beginning_and_belong_to_one_run() -> None:
    rows = [
        {"timestamp": 3000, "input_length": 1200, "output_length": 52, "hash_ids": [1, 2, 3]},
        {"timestamp": 1500, "input_length": 1100, "output_length": 0, "hash_ids": [1, 2, 9]},
        {"timestamp": 2000, "input_length": 40},
    ]
    second, third, first = read("\n".join(map(json.dumps, rows)))
    assert [prompt.at_ns for prompt in (second, third, first)] == [0, 5 * 10**8, 15 * 10**8]
    assert (first.max_tokens, second.max_tokens, third.max_tokens) == (52, 1, None)
    assert [words(prompt) for prompt in (first, second, third)] == [900, 825, 30]
    shared = 1 + 2 * 384 - 1
    a, b = (prompt.text.split() for prompt in (first, second))
    assert a[:shared] == b[:shared]
    assert a[shared + 2 :] != b[shared + 2 : len(a)]
    assert a[0] == RUN_PLACEHOLDER
    assert third.text.startswith(PLACEHOLDER)
    sent = [
        marked(text.encode(), mark_position(text.encode()), run, number)
        for text, run, number in ((first.text, 1, 0), (first.text, 1, 7), (first.text, 2, 0))
    ]
    assert sent[0] == sent[1] != sent[2]


def test_azure_and_burst_gpt_csv() -> None:
    azure = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
"""
    first, second = read(azure)
    assert (first.at_ns, second.at_ns) == (0, 4_314_579_000)
    assert (words(first), second.max_tokens) == (280, 109)
    burst = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,GPT-4,10,0,10,API log
"""
    prompts = read(burst)
    assert [prompt.at_ns for prompt in prompts] == [0, 40_500_000_000]
    assert [prompt.max_tokens for prompt in prompts] == [18, 1]


def _span(tokens: int, start: str) -> dict[str, Any]:
    pairs = {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 9}
    attributes = [{"key": key, "value": {"intValue": str(value)}} for key, value in pairs.items()]
    return {"name": "chat", "startTimeUnixNano": start, "attributes": attributes}


def test_open_telemetry_spans_as_otlp_or_one_per_line() -> None:
    spans = [_span(100, "1700000000000000000"), _span(40, "1700000002500000000"),
             {"name": "tool", "startTimeUnixNano": "1", "attributes": []}]  # fmt: skip
    otlp = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    lines = "\n".join(
        json.dumps({
            "start_time": f"2026-11-28T10:00:0{at}Z",
            "attributes": {"gen_ai.usage.input_tokens": tokens},
        })
        for at, tokens in ((0, 100), (2.5, 40))
    )  # fmt: skip
    indented = json.dumps(json.loads(otlp), indent=2)
    other = '{"name": "GET /", "start_time": "2026-11-28T09:00:00Z", "attributes": {}}\n'
    for text in (otlp, indented, lines, other + lines):
        first, second = read(text)
        assert (first.at_ns, second.at_ns) == (0, 2_500_000_000)
        assert (words(first), words(second)) == (75, 30)
    assert read(otlp)[0].max_tokens == 9


def test_own_format_with_body_fields_models_and_turns() -> None:
    text = "\n".join([
        '{"prompt": "a", "max_tokens": 5, "ignore_eos": true, "temperature": 0}',
        '{"prompt": "a", "model": "lora-a"}',
        '{"messages": [{"role": "user", "content": "x"}], "tools": []}',
        '{"turns": ["first", "second"]}',
    ])  # fmt: skip
    plain, model, tools, turn, history = read(text)
    assert (plain.body, plain.max_tokens) == ({"ignore_eos": True, "temperature": 0}, 5)
    assert model.model == "lora-a"
    assert tools.body == {"tools": []}
    assert [message["role"] for message in history.messages] == ["user", "assistant", "user"]
    assert turn.session == history.session


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no prompt"),
        ("[]", "no request"),
        ("[", "not valid JSON"),
        ("a,b\n1,2\n", "needs the columns"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", "is not a time"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1.5,x,1\n", "number of tokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1.5\n", "number of tokens"),
        ('{"input_length": -1}', "number of tokens"),
        ('{"input_length": 1, "timestamp": "x"}', "is not a time"),
        ('{"input_length": 1}\n[1]', "expected an object"),
        ('{"input_length": 1}\n{', "not valid JSON"),
        ('{"resourceSpans": 5}', "no request"),
        ('[{"instruction": "a"}]', "item 1 of the array: expected one of `prompt`"),
        ('{"input_length": 1e999}', "number of tokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\ninf,1,1\n", "is not a time"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1.5,8\n", "number of tokens"),
        ('{"input_length": 1, "timestamp": 0}\n{"input_length": 1}', "1 of 2 lines"),
    ],
)
def test_invalid_workload_is_rejected(text: str, message: str) -> None:
    with pytest.raises((UsageError, ConfigSyntaxError), match=message):
        read(text)


def test_error_has_the_line() -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        read('{"input_length": 1}\n{"input_length": }')
    assert caught.value.line == 2
