"""Text deltas from the events of each API; hostile events yield no deltas."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.client import Delta, Finish, Reasoning, Text, ToolCall, Usage
from undam.client.answer_assembler import AnswerAssembler
from undam.client.deltas import deltas_of, readable


def _chat(**delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta}]}


_CALL = {"index": 1, "id": "c", "function": {"name": "f", "arguments": "{"}}

EVENTS: list[tuple[Api, str, object, list[Delta]]] = [
    (CHAT, "", _chat(role="assistant", content=""), []),
    (CHAT, "", _chat(content="a"), [Text("a")]),
    (CHAT, "", _chat(refusal="no"), [Text("no")]),
    (CHAT, "", _chat(reasoning_content="a", content=None), [Reasoning("a")]),
    (CHAT, "", _chat(reasoning="a"), [Reasoning("a")]),
    (CHAT, "", _chat(tool_calls=[_CALL]), [ToolCall(1, "c", "f", "{")]),
    (CHAT, "", _chat(function_call={"name": "f", "arguments": "{"}), [ToolCall(0, "", "f", "{")]),
    (CHAT, "", _chat(tool_calls=[{"index": 0, "id": "c", "custom": {"name": "f", "input": "x"}}]),
     [ToolCall(0, "c", "f", "x")]),
    (CHAT, "", {"choices": [{"index": 2, "delta": {}, "finish_reason": "stop"}]},
     [Finish("stop", 2)]),
    (CHAT, "", {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
     [Usage(1, 2)]),
    (CHAT, "", {"choices": [], "usage": None}, []),
    (COMPLETIONS, "", {"choices": [{"text": "a", "index": 0}]}, [Text("a")]),
    (RESPONSES, "response.output_text.delta", {"delta": "a"}, [Text("a")]),
    (RESPONSES, "", {"type": "response.reasoning_summary_text.delta", "delta": "a"},
     [Reasoning("a")]),
    (RESPONSES, "", {"type": "response.output_item.added", "output_index": 1, "item":
     {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""}},
     [ToolCall(1, "c", "f")]),
    (RESPONSES, "", {"type": "response.output_item.added", "item": {"type": "message"}}, []),
    (RESPONSES, "", {"type": "response.function_call_arguments.delta", "output_index": 1,
     "delta": "{"}, [ToolCall(1, arguments="{")]),
    (RESPONSES, "", {"type": "response.output_audio.delta", "delta": "xx"}, []),
    (RESPONSES, "", {"type": "response.completed", "response":
     {"status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}},
     [Usage(1, 2), Finish("completed")]),
    (RESPONSES, "", {"type": "response.incomplete", "response":
     {"incomplete_details": {"reason": "max_output_tokens"}}}, [Finish("max_output_tokens")]),
    (MESSAGES, "", {"type": "message_start", "message": {"usage": {"input_tokens": 4}}},
     [Usage(4)]),
    (MESSAGES, "", {"type": "content_block_start", "index": 0,
     "content_block": {"type": "text", "text": ""}}, []),
    (MESSAGES, "", {"type": "content_block_start", "index": 1,
     "content_block": {"type": "tool_use", "id": "c", "name": "f"}}, [ToolCall(1, "c", "f")]),
    (MESSAGES, "", {"type": "content_block_start",
     "content_block": {"type": "thinking", "thinking": "a"}}, [Reasoning("a")]),
    (MESSAGES, "", {"type": "content_block_start",
     "content_block": {"type": "text", "text": "a"}}, [Text("a")]),
    (MESSAGES, "content_block_delta", {"delta": {"text": "a"}}, [Text("a")]),
    (MESSAGES, "", {"type": "content_block_delta", "delta": {"thinking": "a"}}, [Reasoning("a")]),
    (MESSAGES, "", {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{"}},
     [ToolCall(1, arguments="{")]),
    (MESSAGES, "", {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
     "usage": {"output_tokens": 9}}, [Usage(None, 9), Finish("end_turn")]),
    (MESSAGES, "", {"type": "message_stop"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("api", "event", "payload", "expected"), EVENTS)
def test_deltas_of_an_event(api: Api, event: str, payload: object, expected: list[Delta]) -> None:
    assert deltas_of(api, event, payload) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "index", "content", "tool_calls", "function", "type",
                         "usage", "response", "item", "message", "content_block", "text",
                         "finish_reason", "error"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_TYPES = ["", "message_start", "message_delta", "content_block_start", "response.completed",
          "response.output_item.added", "content_block_delta", "error", "ping"]  # fmt: skip


@given(st.sampled_from(readable()), st.sampled_from(_TYPES), _JSON)
def test_hostile_json_has_no_deltas(name: str, event: str, payload: object) -> None:
    api = {one.name: one for one in (CHAT, COMPLETIONS, RESPONSES, MESSAGES)}[name]
    answer = AnswerAssembler(api)
    named = f"event: {event}\n" if event else ""
    given_out = answer.receive_data(f"{named}data: {json.dumps(payload)}\n\n".encode())
    assert all(isinstance(one, Delta) for one in (*given_out, *deltas_of(api, event, payload)))


def _fed(api: Api, *payloads: object, choices: int = 1) -> AnswerAssembler:
    answer = AnswerAssembler(api, choices=choices)
    for payload in payloads:
        answer.receive_data(f"data: {json.dumps(payload)}\n\n".encode())
    return answer


def test_pieces_of_tool_calls_are_joined() -> None:
    more = {"index": 1, "function": {"arguments": '"a": 1}'}}
    other = {"index": 0, "id": "d", "function": {"name": "g"}}
    answer = _fed(CHAT, *(_chat(tool_calls=[call]) for call in (_CALL, more, other)))
    assert answer.tool_calls == (ToolCall(1, "c", "f", '{"a": 1}'), ToolCall(0, "d", "g"))


def test_usage_in_two_parts_is_combined() -> None:
    answer = _fed(
        MESSAGES,
        {"type": "message_start", "message": {"usage": {"input_tokens": 4, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
         "usage": {"output_tokens": 9}},
    )  # fmt: skip
    assert answer.usage == Usage(4, 9)
    # A stop_reason alone does not end a message.
    assert not answer.is_complete
    answer.receive_data(b'data: {"type": "message_stop"}\n\n')
    assert (answer.is_complete, answer.is_over, answer.finish_reason) == (True, True, "end_turn")


def test_a_response_ends_with_its_last_event() -> None:
    answer = _fed(RESPONSES, {"type": "response.output_text.delta", "delta": "a"})
    assert not answer.is_complete
    answer.receive_data(b'data: {"type": "response.completed", "response": {}}\n\n')
    assert (answer.is_over, answer.text) == (True, "a")


def test_several_calls_with_the_same_index_are_not_joined() -> None:
    """Some servers number each call with 0, and others repeat the ID in each piece of a call."""
    answer = AnswerAssembler(CHAT)
    for ident, name, arguments in [
        ("a", "f", "{"), ("a", "", "}"), ("b", "g", ""), ("", "", "{"), ("b", "", "}"),
        ("random", "", " "),
    ]:  # fmt: skip
        function = {"name": name, "arguments": arguments}
        call = {"index": 0, "id": ident, "function": function}
        answer.receive_data(b"data: %b\n\n" % json.dumps(_chat(tool_calls=[call])).encode())
    assert answer.tool_calls == (ToolCall(0, "a", "f", "{}"), ToolCall(0, "b", "g", "{} "))
