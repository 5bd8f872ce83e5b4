"""OpenAI chat completions, completions and responses: interpretation of each event type."""

from __future__ import annotations

import json

import pytest

from undam.apis import CHAT, COMPLETIONS, RESPONSES, Api, Kind


def _chunk(**choice: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "finish_reason": None, **choice}]}


def _tool(**function: object) -> dict[str, object]:
    return _chunk(delta={"tool_calls": [{"index": 0, "function": function}]})


@pytest.mark.parametrize(
    ("payload", "kind", "text"),
    [
        (_chunk(delta={"role": "assistant"}), Kind.EMPTY, ""),
        (_chunk(delta={"role": "assistant", "content": ""}), Kind.EMPTY, ""),
        (_chunk(delta={"content": None}), Kind.EMPTY, ""),
        (_chunk(delta={}), Kind.EMPTY, ""),
        (_chunk(delta={"content": "Hi"}), Kind.CONTENT, "Hi"),
        (_chunk(delta={"content": " "}), Kind.CONTENT, " "),
        (_chunk(delta={"reasoning_content": "Hm"}), Kind.CONTENT, "Hm"),
        (_chunk(delta={"reasoning": "Hm"}), Kind.CONTENT, "Hm"),
        (_chunk(delta={"refusal": "No"}), Kind.CONTENT, "No"),
        (_tool(name="f", arguments=""), Kind.CONTENT, "f"),
        (_tool(arguments='{"a"'), Kind.CONTENT, '{"a"'),
        (_tool(), Kind.EMPTY, ""),
        (_chunk(text="Hi"), Kind.CONTENT, "Hi"),
        (
            {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]},
            Kind.CONTENT,
            "ab",
        ),
        ({"choices": []}, Kind.EMPTY, ""),
        ({"choices": "none"}, Kind.EMPTY, ""),
        ({"choices": [None, 1, "x"]}, Kind.EMPTY, ""),
        ({}, Kind.EMPTY, ""),
        ({"error": {"message": "overloaded"}}, Kind.ERROR, "overloaded"),
    ],
)
def test_chunk(payload: dict[str, object], kind: Kind, text: str) -> None:
    for api in (CHAT, COMPLETIONS):
        meaning = api.read("message", json.dumps(payload))
        assert (meaning.kind, meaning.text, meaning.ends) == (kind, text, False)
        assert meaning.payload == payload


def test_chunk_that_ends() -> None:
    finish = CHAT.read("message", json.dumps(_chunk(delta={}, finish_reason="length")))
    assert (finish.kind, finish.ends) == (Kind.FINISH, True)
    both = CHAT.read("message", json.dumps(_chunk(delta={"content": "."}, finish_reason="stop")))
    assert (both.kind, both.text, both.ends) == (Kind.CONTENT, ".", True)
    one_of_two = {"choices": [{"finish_reason": "stop"}, {"finish_reason": None}]}
    assert CHAT.read("message", json.dumps(one_of_two)).ends


def test_chunk_usage() -> None:
    usage = {"usage": {"completion_tokens": 12, "prompt_tokens": 3}}
    alone = CHAT.read("message", json.dumps({"choices": [], **usage}))
    assert (alone.kind, alone.tokens) == (Kind.USAGE, 12)
    beside = CHAT.read("message", json.dumps({**_chunk(delta={"content": "a"}), **usage}))
    assert (beside.kind, beside.tokens) == (Kind.CONTENT, 12)
    empty = CHAT.read("message", json.dumps({**_chunk(delta={}), **usage}))
    assert (empty.kind, empty.tokens) == (Kind.EMPTY, 12)
    null = CHAT.read("message", json.dumps({**_chunk(delta={"content": "a"}), "usage": None}))
    assert null.tokens is None


@pytest.mark.parametrize("api", [CHAT, COMPLETIONS, RESPONSES], ids=lambda api: api.name)
def test_done_and_malformed(api: Api) -> None:
    for data in ("[DONE]", " [DONE] "):
        done = api.read("message", data)
        assert (done.kind, done.ends, done.payload) == (Kind.DONE, True, None)
    broken = api.read("message", "<html>" + "x" * 500)
    assert (broken.kind, broken.ends) == (Kind.MALFORMED, False)
    assert broken.text == ("<html>" + "x" * 500)[:200]


@pytest.mark.parametrize(
    ("payload", "kind", "text"),
    [
        ({"type": "response.created", "response": {"error": None}}, Kind.EMPTY, ""),
        ({"type": "response.output_text.delta", "delta": "Hi"}, Kind.CONTENT, "Hi"),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, Kind.CONTENT, "{"),
        ({"type": "response.output_text.delta", "delta": ""}, Kind.EMPTY, ""),
        ({"type": "response.output_text.delta", "delta": {"a": 1}}, Kind.EMPTY, ""),
        ({"type": "response.output_text.done", "text": "Hi", "delta": "x"}, Kind.EMPTY, ""),
        ({"type": "error", "message": "slow down"}, Kind.ERROR, "slow down"),
        ({"type": "error"}, Kind.ERROR, "error"),
        ({"type": "error", "error": {"message": "a"}}, Kind.ERROR, "a"),
        (
            {"type": "response.failed", "response": {"error": {"message": "broke"}}},
            Kind.ERROR,
            "broke",
        ),
        ({"error": {"message": "a"}}, Kind.ERROR, "a"),
    ],
)
def test_response(payload: dict[str, object], kind: Kind, text: str) -> None:
    meaning = RESPONSES.read("message", json.dumps(payload))
    assert (meaning.kind, meaning.text, meaning.ends) == (kind, text, False)
    assert meaning.payload == payload


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
def test_response_that_ends(kind: str) -> None:
    payload = {"type": kind, "response": {"usage": {"output_tokens": 5}}}
    meaning = RESPONSES.read("message", json.dumps(payload))
    assert (meaning.kind, meaning.ends, meaning.tokens) == (Kind.FINISH, True, 5)


def test_response_type_from_the_event_name() -> None:
    meaning = RESPONSES.read("response.output_text.delta", '{"delta": "Hi"}')
    assert (meaning.kind, meaning.text) == (Kind.CONTENT, "Hi")
