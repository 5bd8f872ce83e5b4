"""Detection of a stream's API from its events, with first content, text and end marker."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.apis import CHAT, MESSAGES, PLAIN, RESPONSES, Api, Kind, Meaning, ShapeReader
from undam.apis.meaning import text_in
from undam.apis.shape import FORMS


class Stream(NamedTuple):
    """Sample stream in one format.

    Args:
        events: pairs of event name and payload; a string is sent as it is.
        first: index of the first event with content.
    """

    api: str
    events: Sequence[tuple[str, object]]
    first: int
    text: str
    tool: str = ""
    ends: bool = True


def chat(delta: object, finish: str | None = None) -> tuple[str, object]:
    return "message", {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def typed(**payload: object) -> tuple[str, object]:
    return str(payload.get("type", "message")), payload


def plain(**payload: object) -> tuple[str, object]:
    return "message", payload


def chunk(**payload: object) -> tuple[str, object]:
    """Return an event of InvokeModelWithResponseStream."""
    return "chunk", {"bytes": base64.b64encode(json.dumps(payload).encode()).decode()}


def gemini(*parts: object, **candidate: object) -> tuple[str, object]:
    content = {"parts": list(parts), "role": "model"}
    return "message", {"candidates": [{"content": content, **candidate}]}


STREAMS: dict[str, Stream] = {
    "chat": Stream(
        "openai-chat",
        [chat({"role": "assistant", "content": ""}), chat({"content": "Hi"}), chat({}, "stop")],
        1, "Hi",
    ),
    "chat behind a filter": Stream(
        "openai-chat",
        [plain(choices=[], prompt_filter_results=[{}]), chat({"content": "a"}), ("", "[DONE]")],
        1, "a",
    ),
    "completions": Stream(
        "openai-completions",
        [plain(choices=[{"text": "a", "finish_reason": None}]), ("message", "[DONE]")], 0, "a",
    ),
    "list content": Stream(
        "openai-chat",
        [
            chat({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]}),
            chat({"content": "a"}, "stop"),
        ],
        0, "ta",
    ),
    "audio": Stream(
        "openai-chat",
        [chat({"audio": {"id": "x", "data": "QUJD"}}), chat({}, "stop")], 0, "QUJD",
    ),
    "reasoning details": Stream(
        "openai-chat",
        [
            chat({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "r"}]}),
            chat({"content": "", "reasoning": "s", "reasoning_details": [{"text": "s"}]}, "stop"),
        ],
        0, "rs",
    ),
    "legacy function call": Stream(
        "openai-chat",
        [
            chat({"role": "assistant", "content": None, "function_call": {"name": "f"}}),
            chat({"function_call": {"arguments": "{}"}}), chat({}, "function_call"),
        ],
        0, "f{}", "f{}",
    ),
    "tool calls": Stream(
        "openai-chat",
        [
            chat({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}),
            chat({"tool_calls": [{"index": 0, "custom": {"input": "x"}}]}), chat({}, "tool_calls"),
        ],
        0, "fx", "fx",
    ),
    "responses": Stream(
        "openai-responses",
        [
            typed(type="response.created", response={}),
            typed(type="response.function_call_arguments.delta", delta="{}"),
            typed(type="response.output_text.delta", delta="a"),
            typed(type="response.completed", response={"usage": {"output_tokens": 2}}),
        ],
        1, "{}a", "{}",
    ),
    "speech of two vendors": Stream(
        "openai-responses",
        [typed(type="speech.audio.delta", audio="QUJD"), typed(type="speech.audio.done")],
        0, "QUJD",
    ),
    "Llama on Bedrock": Stream(
        "bedrock-native",
        [
            chunk(generation="", prompt_token_count=9, stop_reason=None),
            chunk(generation="a", generation_token_count=1, stop_reason=None),
            chunk(generation="", generation_token_count=2, stop_reason="stop"),
        ],
        1, "a",
    ),
    "Titan on Bedrock": Stream(
        "bedrock-native",
        [
            chunk(outputText="a", index=0, completionReason=None),
            chunk(outputText="b", index=0, completionReason="FINISH"),
        ],
        0, "ab",
    ),
    "Mistral on Bedrock": Stream(
        "bedrock-native",
        [
            chunk(outputs=[{"text": "a", "stop_reason": None}]),
            chunk(outputs=[{"text": "", "stop_reason": "stop"}]),
        ],
        0, "a",
    ),
    "an application with similar keys": Stream(
        "plain",
        [
            plain(generation="a", step=1), plain(outputs=["b"]),
            plain(outputs=[{"text": "c"}]), plain(outputText="d"),
        ],
        0,
        '{"generation": "a", "step": 1}{"outputs": ["b"]}'
        '{"outputs": [{"text": "c"}]}{"outputText": "d"}',
        ends=False,
    ),
    "messages instead of deltas": Stream(
        "openai-chat",
        [
            plain(choices=[{"index": 0, "message": {"role": "assistant", "content": "a"}}]),
            plain(choices=[{"delta": {}, "message": {"content": "a"}, "finish_reason": "stop"}]),
        ],
        0, "a",
    ),
    "transcription": Stream(
        "openai-responses",
        [typed(type="transcript.text.delta", delta="a"), typed(type="transcript.text.done")],
        0, "a",
    ),
    "anthropic": Stream(
        "anthropic-messages",
        [
            typed(type="message_start", message={}), typed(type="ping"),
            typed(type="content_block_delta", delta={"type": "text_delta", "text": "a"}),
            typed(type="content_block_delta", delta={"partial_json": "{}"}),
            typed(type="message_stop"),
        ],
        2, "a{}", "{}",
    ),
    "gemini": Stream(
        "gemini",
        [
            gemini({"text": "a"}), gemini({"functionCall": {"name": "f", "args": {"q": "x"}}}),
            gemini({"inlineData": {"mimeType": "audio/pcm", "data": "QQ=="}}, finishReason="STOP"),
            plain(usageMetadata={"candidatesTokenCount": 3}),
        ],
        0, "afxQQ==", "fx",
    ),
    "gemini in a response": Stream(
        "gemini",
        [plain(response={"candidates": [{"content": {"parts": [{"text": "a"}]},
                                         "finishReason": "STOP"}]})],
        0, "a",
    ),
    "converse": Stream(
        "bedrock-converse",
        [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "r"}}}),
            ("contentBlockDelta", {"delta": {"text": "a"}}),
            ("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}}),
            ("contentBlockStop", {}), ("messageStop", {"stopReason": "end_turn"}),
            plain(metadata={"usage": {"outputTokens": 3}}),
        ],
        1, "ra{}", "{}",
    ),
    "converse as JSON": Stream(
        "bedrock-converse",
        [
            plain(contentBlockDelta={"delta": {"text": "a"}}),
            plain(messageStop={"stopReason": "x"}),
        ],
        0, "a",
    ),
    "cohere": Stream(
        "cohere",
        [
            typed(type="message-start", delta={"message": {"content": []}}),
            typed(type="content-start", index=0),
            typed(type="content-delta", delta={"message": {"content": {"text": "a"}}}),
            typed(type="tool-call-delta",
                  delta={"message": {"tool_calls": {"function": {"arguments": "{}"}}}}),
            typed(type="message-end", delta={"usage": {"tokens": {"output_tokens": 2}}}),
        ],
        2, "a{}", "{}",
    ),
    "cohere 1": Stream(
        "cohere",
        [
            plain(event_type="stream-start"), plain(event_type="text-generation", text="a"),
            plain(event_type="stream-end", is_finished=True),
        ],
        1, "a",
    ),
    "ollama": Stream(
        "ollama",
        [
            plain(model="m", message={"thinking": "t", "content": ""}, done=False),
            plain(model="m", message={"content": "a"}, done=False),
            plain(model="m", message={"content": ""}, done=True, eval_count=2),
        ],
        0, "ta",
    ),
    "ollama generate": Stream(
        "ollama", [plain(response="a", done=False), plain(response="", done=True)], 0, "a",
    ),
    "tgi": Stream(
        "tgi",
        [
            plain(token={"text": "a", "special": False}, generated_text=None, details=None),
            plain(token={"text": "</s>", "special": True}, generated_text="a",
                  details={"generated_tokens": 2}),
        ],
        0, "a",
    ),
    "llama.cpp": Stream(
        "llamacpp",
        [plain(content="a", stop=False), plain(content="", stop=True, tokens_predicted=1)], 0, "a",
    ),
    "vercel ui": Stream(
        "vercel-ui",
        [
            plain(type="start", messageId="m"), plain(type="start-step"),
            plain(type="text-start", id="0"), plain(type="reasoning-delta", id="0", delta="r"),
            plain(type="text-delta", id="0", delta="a"),
            plain(type="tool-input-delta", inputTextDelta="{}"),
            plain(type="tool-input-available", input={"q": "x"}),
            plain(type="data-weather", data={"t": "5"}), plain(type="finish"),
        ],
        3, "ra{}x5", "{}x",
    ),
    "vercel data": Stream(
        "vercel-data",
        [
            ("f", {"messageId": "m"}), ("0", '"a"'), ("g", '"r"'), ("c", {"argsTextDelta": "{}"}),
            ("d", {"finishReason": "stop"}),
        ],
        1, "ar{}", "{}",
    ),
    "ag-ui": Stream(
        "ag-ui",
        [
            plain(type="RUN_STARTED", runId="r"), plain(type="TEXT_MESSAGE_START"),
            plain(type="TEXT_MESSAGE_CONTENT", delta="a"), plain(type="TOOL_CALL_ARGS", delta="{}"),
            plain(type="STATE_DELTA", delta=[]), plain(type="RUN_FINISHED"),
        ],
        2, "a{}", "{}",
    ),
    "langserve": Stream(
        "langserve", [("metadata", {"run_id": "r"}), ("data", '"a"'), ("end", "")], 1, "a",
    ),
    "langgraph": Stream(
        "langgraph",
        [
            ("metadata", {"run_id": "r"}),
            ("messages", [{"content": "a", "type": "AIMessageChunk"}, {"langgraph_node": "n"}]),
            ("messages|sub", [{"content": "", "tool_call_chunks": [{"args": "{}"}]}, {}]),
            ("values", {"messages": []}), ("updates", {"node": {"x": "u"}}), ("end", "null"),
        ],
        1, "a{}u", "{}",
    ),
    "astream events": Stream(
        "astream-events",
        [
            plain(event="on_chain_start", run_id="r", data={}),
            plain(event="on_chat_model_stream", run_id="r",
                  data={"chunk": {"kwargs": {"content": "a"}}}),
            plain(event="on_chain_stream", run_id="r", data={"chunk": "b"}),
        ],
        1, "ab", ends=False,
    ),
    "dify": Stream(
        "dify",
        [
            plain(event="workflow_started", task_id="t", data={}),
            plain(event="message", task_id="t", answer="a"),
            plain(event="text_chunk", task_id="t", data={"text": "b"}),
            plain(event="message_end", task_id="t"),
        ],
        1, "ab",
    ),
    "mcp": Stream(
        "json-rpc",
        [
            plain(jsonrpc="2.0", id=9, method="ping"),
            plain(jsonrpc="2.0", method="notifications/message", params={"data": "a"}),
            plain(jsonrpc="2.0", id=1, result={"content": [{"type": "text", "text": "b"}]}),
        ],
        1, "ab",
    ),
    "a2a": Stream(
        "a2a",
        [
            plain(jsonrpc="2.0", id=1, result={"kind": "task", "status": {"state": "working"}}),
            plain(jsonrpc="2.0", id=1, result={
                "kind": "artifact-update", "artifact": {"parts": [{"kind": "text", "text": "a"}]},
            }),
            plain(jsonrpc="2.0", id=1, result={"statusUpdate": {
                "status": {"state": "TASK_STATE_COMPLETED",
                           "message": {"parts": [{"text": "b"}]}},
            }}),
        ],
        1, "akindtextab"[:1] + "b",
    ),
    "speech": Stream(
        "openai-responses",
        [
            typed(type="speech.audio.delta", audio="QUJD"),
            typed(type="speech.audio.delta", audio_data="QQ=="), typed(type="speech.audio.done"),
        ],
        0, "QUJDQQ==",
    ),
    "images": Stream(
        "openai-responses",
        [
            typed(type="image_edit.partial_image", b64_json="QUJD"),
            typed(type="image_edit.completed", b64_json="QUJD"),
        ],
        0, "QUJD",
    ),
    "responses of another vendor": Stream(
        "openai-responses",
        [
            ("response.status", {"message": "planning"}),
            ("response.text.delta", {"text": "a", "content_index": 0}),
            ("response.done", {}),
        ],
        1, "a",
    ),
    "citations and compaction": Stream(
        "anthropic-messages",
        [
            typed(type="message_start", message={}),
            typed(type="content_block_delta", delta={"citation": {"cited_text": "a"}}),
            typed(type="content_block_delta", delta={"type": "compaction_delta", "content": "b"}),
            typed(type="content_block_delta", delta={"type": "signature_delta", "signature": "s"}),
            typed(type="message_stop"),
        ],
        1, "ab",
    ),
    "code run by gemini": Stream(
        "gemini",
        [
            gemini({"executableCode": {"code": "a"}}),
            gemini({"codeExecutionResult": {"output": "b"}}, finishReason="STOP"),
        ],
        0, "ab",
    ),
    "pieces of a message": Stream(
        "openai-chat",
        [
            plain(choices=[{"index": 0, "message": {"content": "a"}, "finish_reason": None}]),
            ("", "[DONE]"),
        ],
        0, "a",
    ),
    "a delta with only names": Stream(
        "openai-chat",
        [
            chat({"role": "assistant", "context": {"citations": [{"content": "c"}]}}),
            chat({"role": "assistant", "name": "bot", "content": "", "model": "m",
                  "reasoning_details": [{"type": "reasoning.text", "format": "unknown"}]}),
            chat({"content": "a"}, "stop"),
        ],
        2, "a",
    ),
    "parts of the AI SDK 4": Stream(
        "vercel-ui",
        [
            plain(type="step-start", messageId="m"), plain(type="reasoning", textDelta="r"),
            plain(type="text-delta", textDelta="a"),
            plain(type="tool-call-delta", argsTextDelta="{}"), plain(type="finish"),
        ],
        1, "ra{}", "{}",
    ),
    "parts of Mastra": Stream(
        "vercel-ui",
        [
            plain(type="start", runId="r", payload={}),
            plain(type="text-delta", runId="r", payload={"id": "0", "text": "a"}),
            plain(type="finish", runId="r", payload={}),
        ],
        1, "a",
    ),
    "a transient status": Stream(
        "vercel-ui",
        [
            plain(type="start", messageId="m"),
            plain(type="data-status", data={"message": "searching"}, transient=True),
            plain(type="text-delta", delta="a"), plain(type="finish"),
        ],
        2, "a",
    ),
    "parts of the AI SDK with another end": Stream(
        "vercel-ui", [plain(type="text-delta", text="a"), plain(type="done")], 0, "a",
    ),
    "an application's own names": Stream(
        "plain",
        [
            plain(type="start"), plain(type="token", text="a"), plain(type="end"),
        ],
        1, '{"type": "token", "text": "a"}', ends=False,
    ),
    "event types of Google": Stream(
        "plain",
        [
            ("interaction.start", {"event_type": "interaction.start"}),
            ("content.delta", {"event_type": "content.delta", "text": "a"}),
        ],
        1, '{"event_type": "content.delta", "text": "a"}', ends=False,
    ),
    "data events": Stream("plain", [("data", '"a"'), ("end", '"b"')], 0, '"a"', ends=False),
    "unknown": Stream(
        "plain",
        [
            ("start", {"a": 1}), ("message", {"type": "connected"}), ("ping", ""),
            ("token", "a"), ("message", {"type": "heartbeat"}), ("done", {"x": 1}),
        ],
        3, "a", ends=False,
    ),
}  # fmt: skip


def feed(reader: ShapeReader, events: Sequence[tuple[str, object]]) -> list[Meaning]:
    return [
        reader.read(event, data if isinstance(data, str) else json.dumps(data))
        for event, data in events
    ]


@pytest.mark.parametrize("hint", [PLAIN, CHAT, MESSAGES], ids=lambda api: api.name)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_recognised_whatever_its_path_suggests(name: str, hint: Api) -> None:
    stream = STREAMS[name]
    if stream.api == "plain" and hint is not PLAIN:
        pytest.skip("nothing in the events contradicts the path")
    reader = ShapeReader(hint)
    meanings = feed(reader, stream.events)
    contents = [index for index, one in enumerate(meanings) if one.kind is Kind.CONTENT]
    assert reader.api.name == stream.api
    assert contents[0] == stream.first
    assert "".join(meanings[index].text for index in contents) == stream.text
    assert "".join(one.tool for one in meanings) == stream.tool
    assert any(one.ends for one in meanings) is stream.ends
    assert not any(one.kind in {Kind.ERROR, Kind.MALFORMED} for one in meanings)


@pytest.mark.parametrize(
    ("event", "data", "message"),
    [
        ("message", {"error": {"message": "too busy"}}, "too busy"),
        ("message", {"candidates": [], "error": {"message": "quota"}}, "quota"),
        ("message", {"message": {}, "done": False, "error": "no such model"}, "no such model"),
        ("message", {"type": "RUN_ERROR", "message": "failed"}, "failed"),
        ("message", {"event": "error", "task_id": "t", "message": "denied"}, "denied"),
        (
            "message",
            {"jsonrpc": "2.0", "id": 1, "error": {"message": "tool failed"}},
            "tool failed",
        ),
        ("3", '"overloaded"', "overloaded"),
        ("error", {"message": "overloaded"}, "overloaded"),
        ("error", "plain words", "plain words"),
    ],
)
def test_errors_keep_their_message(event: str, data: object, message: str) -> None:
    reader = ShapeReader(PLAIN)
    meaning = reader.read(event, data if isinstance(data, str) else json.dumps(data))
    assert (meaning.kind, meaning.text) == (Kind.ERROR, message)


def test_errors_of_a_known_stream() -> None:
    for first, event, data, message in (
        (("messageStart", {}), "throttlingException", {"message": "slow down"}, "slow down"),
        (plain(type="start-step"), "message", {"type": "error", "errorText": "bad"}, "bad"),
        (("metadata", {}), "error", {"message": "graph failed"}, "graph failed"),
    ):
        reader = ShapeReader(PLAIN)
        reader.read(first[0], json.dumps(first[1]))
        meaning = reader.read(event, json.dumps(data))
        assert (meaning.kind, meaning.text) == (Kind.ERROR, message)


def test_model_events_inside_bedrock_chunks_are_unwrapped() -> None:
    reader = ShapeReader(PLAIN)
    inner = json.dumps({"type": "content_block_delta", "delta": {"text": "a"}})
    data = json.dumps({"bytes": base64.b64encode(inner.encode()).decode(), "p": "abc"})
    assert reader.read("chunk", data).text == "a"
    assert reader.api is MESSAGES
    assert ShapeReader(PLAIN).read("chunk", '{"bytes": "%%%"}').kind is Kind.CONTENT


@pytest.mark.parametrize("code", ["0", "3", "d", "9"])
def test_malformed_lines_of_a_data_stream(code: str) -> None:
    assert ShapeReader(PLAIN).read(code, "{half").kind is Kind.MALFORMED


def test_events_that_nothing_recognises_follow_the_path() -> None:
    assert ShapeReader(CHAT).read("message", "no JSON").kind is Kind.MALFORMED
    assert ShapeReader(RESPONSES).read("message", '{"x": 1}').kind is Kind.CONTENT
    reader = ShapeReader(PLAIN)
    reader.read("message", json.dumps({"type": "text-start", "id": "0"}))
    assert reader.read("message", "{half").kind is Kind.MALFORMED
    assert reader.read("message", '{"unheard": "of"}').kind is Kind.CONTENT


def test_events_beside_the_content_of_agent_protocols() -> None:
    reader = ShapeReader(PLAIN)
    assert reader.read("metadata", "{half").kind is Kind.MALFORMED
    for payload, kind, text in (
        ({"event": "ping", "task_id": "t"}, Kind.HEARTBEAT, ""),
        ({"event": "tts_message", "task_id": "t", "audio": "QUJD"}, Kind.CONTENT, "QUJD"),
        (
            {"jsonrpc": "2.0", "result": {"kind": "message", "parts": [{"text": "a"}]}},
            "content",
            "a",
        ),
    ):
        meaning = ShapeReader(PLAIN).read("message", json.dumps(payload))
        assert (meaning.kind, meaning.text) == (kind, text)


def test_text_is_collected_to_a_bounded_depth() -> None:
    nested: object = "deep"
    for _ in range(20):
        nested = [nested]
    assert text_in(nested) == ""
    assert text_in([["shallow"], {"id": "x", "text": "!"}, 5]) == "shallow!"


def test_names_of_forms_are_unique() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "event", "choices", "delta", "content", "candidates", "message", "done", "token",
         "jsonrpc", "result", "error", "task_id", "stop", "event_type", "kind", "bytes", "data"]
    ), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.seconds
@given(
    event=st.sampled_from(["message", "chunk", "data", "end", "0", "metadata", "x"]), value=_JSON
)
def test_arbitrary_json_never_raises(event: str, value: object) -> None:
    for hint in (PLAIN, CHAT, MESSAGES):
        assert isinstance(ShapeReader(hint).read(event, json.dumps(value)).text, str)
