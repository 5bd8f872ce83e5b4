"""Values that a source yields arrive as clients expect, or are rejected with their type."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fastapi.sse
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from openai.types.chat import ChatCompletionChunk

from support.asgi_calls import Call, run
from support.eventually import eventually
from undam.asgi import (
    Comment,
    Event,
    EventStream,
    MemoryReplay,
    Raw,
    ReconnectHint,
    StreamBroken,
)
from undam.errors import UsageError
from undam.sse import Parser
from undam.wsgi import event_stream


class Color(str, enum.Enum):  # noqa: UP042 (its str() is its name)
    RED = "red"


class ServerSentEvent:
    """Event class with the same attributes as sse-starlette's class."""

    def __init__(self, data: Any = None, **fields: Any) -> None:
        self.data = data
        self.event = fields.get("event")
        self.id = fields.get("id")
        self.retry = fields.get("retry")
        self.comment = fields.get("comment")
        self._sep = None


def _sent(*items: Any, **options: Any) -> bytes:
    async def source() -> AsyncIterator[Any]:
        for item in items:
            yield item

    call = run(Call().serve(EventStream(source, **options)))
    assert call.complete
    return call.body.removeprefix(b": open\n")


@pytest.mark.parametrize(
    ("item", "body"),
    [
        (None, b""),
        (7, b"data: 7\n\n"),
        (Color.RED, b"data: red\n\n"),
        (Event("x", Color.RED), b"event: red\ndata: x\n\n"),
        (Event({"a": 1}, "x"), b'event: x\ndata: {"a":1}\n\n'),
        (Event("x", retry=3000), b"retry: 3000\ndata: x\n\n"),
        (ReconnectHint(id="5", retry=10), b"id: 5\nretry: 10\n\n"),
        (Comment("hello"), b": hello\n"),
        (Raw(b"data: x\n\n"), b"data: x\n\n"),
        ({"event": "a", "data": "b"}, b"event: a\ndata: b\n\n"),
        ({"event": "a", "data": {"b": 1}, "id": 3}, b'event: a\nid: 3\ndata: {"b":1}\n\n'),
        (
            {"event": "a", "data": "b", "name": "c"},
            b'data: {"event":"a","data":"b","name":"c"}\n\n',
        ),
        ({"data": "b", "id": "c"}, b'data: {"data":"b","id":"c"}\n\n'),
        (ServerSentEvent("a", event="b", id=1), b"event: b\nid: 1\ndata: a\n\n"),
        (ServerSentEvent(comment="c"), b": c\n"),
        (ServerSentEvent(id="1", retry=5), b"id: 1\nretry: 5\n\n"),
        (fastapi.sse.ServerSentEvent(data="a", event="b"), b'event: b\ndata: "a"\n\n'),
        (fastapi.sse.ServerSentEvent(raw_data="a"), b"data: a\n\n"),
        (fastapi.sse.ServerSentEvent(data={"a": 1}, id="7"), b'id: 7\ndata: {"a":1}\n\n'),
        (b"a\nb", b"data: a\ndata: b\n\n"),
    ],
)
def test_item_of_an_application(item: Any, body: bytes) -> None:
    assert _sent(item) == body
    parts = list(event_stream([item]).body)
    assert b"".join(parts).removeprefix(b": open\n") == body


def test_a_langgraph_item_is_json() -> None:
    chunk = AIMessageChunk(content="Hello")
    item = {"event": "on_chat_model_stream", "data": {"chunk": chunk}, "name": "n", "tags": []}
    (event,) = Parser().receive_data(_sent(item))
    assert isinstance(event, Event)
    assert '"content":"Hello"' in event.data
    (pair,) = Parser().receive_data(_sent((HumanMessage("hi"), {"langgraph_node": "n"})))
    assert isinstance(pair, Event)
    assert pair.data.startswith('[{"content":"hi"')


def test_encode_converts_any_item() -> None:
    class Token:
        text = "a"

    body = _sent(Token(), "skip", encode=lambda item: None if item == "skip" else item.text)
    assert body == b"data: a\n\n"


@pytest.mark.parametrize("item", [object(), [object()], {"a": {"b": print}}, Color])
def test_an_item_that_cannot_be_sent_is_named_with_the_fix(
    item: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        with pytest.raises(StreamBroken) as raised:
            await Call().serve(EventStream([item]))
        cause = raised.value.__cause__
        assert isinstance(cause, TypeError)
        assert "yielded" in str(cause) or "encode=" in str(cause)

    run(main())
    assert "TypeError" in caplog.text


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


@pytest.mark.parametrize(
    "frame",
    ["data: x\n\n", "event: a\ndata: x\n\n", "data: x\r\n\r\n", ": c\n\n", "data: a\ndata: b\n\n",
     b"id: 1\ndata: x\n\n", "data: a\n\ndata: b\n\n"],
)  # fmt: skip
def test_framed_events_are_sent_once_with_a_warning(
    frame: Any, caplog: pytest.LogCaptureFixture
) -> None:
    raw = frame if isinstance(frame, bytes) else frame.encode()
    assert _sent(frame, frame) == raw * 2
    (warning,) = _warnings(caplog)
    assert "framed already" in warning


@pytest.mark.parametrize(
    "text", ["data: x", "data: x\n", "data: x\n\nand more", "data: a\nb\n\n", "dataset\n\n", "\n\n"]
)
def test_text_that_is_not_framed_is_text(text: str, caplog: pytest.LogCaptureFixture) -> None:
    (event,) = Parser().receive_data(_sent(text))
    assert isinstance(event, Event)
    assert event.data == text
    assert _warnings(caplog) == []


def test_a_model_cannot_inject_an_event(caplog: pytest.LogCaptureFixture) -> None:
    attack = "event: end\ndata: x\n\n"
    for items in (("a", attack), ({"a": 1}, attack), (Event("a"), attack)):
        (_, event) = Parser().receive_data(_sent(*items))
        assert isinstance(event, Event)
        assert (event.event, event.data) == ("message", attack)
    assert all("sent as text" in warning for warning in _warnings(caplog))
    assert b"\nevent: end" not in _sent(attack, openai=True)


def test_raw_must_be_complete() -> None:
    with pytest.raises(ValueError, match="blank line"):
        Raw(b"data: x\n")


def _chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice]}


_CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_USAGE = {**_chunk(), "choices": [], "usage": _COUNTS}


@pytest.mark.parametrize("kind", ["dict", "object", "framed"])
@pytest.mark.parametrize(
    "chunks",
    [
        [_chunk(role="assistant", content="a"), _chunk("stop")],
        [_chunk(role="assistant", tool_calls=[_CALL]), _chunk("tool_calls"), _USAGE],
        [_chunk(content="a"), _chunk("length", content="b")],
    ],
)
def test_the_chunks_of_an_upstream_get_no_second_role_and_finish(
    chunks: list[dict[str, Any]], kind: str
) -> None:
    items: list[Any] = list(chunks)
    if kind == "object":
        items = [ChatCompletionChunk.model_validate(one) for one in chunks]
    if kind == "framed":
        items = [f"data: {json.dumps(one)}\n\n" for one in chunks]
    sent = [
        one.data for one in Parser().receive_data(_sent(*items, openai=True))
        if isinstance(one, Event)
    ]  # fmt: skip
    assert sent.pop() == "[DONE]"
    assert [json.loads(one) for one in sent] == chunks


def test_a_finish_is_added_in_the_upstreams_name_if_it_sent_none() -> None:
    body = _sent(_chunk(role="assistant", content="a"), openai=True).decode()
    last = json.loads(body.split("\n\n")[1].removeprefix("data: "))
    assert (last["id"], last["model"], last["choices"][0]["finish_reason"]) == ("up", "m", "stop")
    assert body.count('"role"') == 1


@pytest.mark.parametrize("done", ["[DONE]", "data: [DONE]\n\n"])
def test_an_end_marker_of_the_source_is_sent_once(done: str) -> None:
    body = _sent(_chunk("stop", content="a"), done, openai=True)
    assert body.count(b"[DONE]") == 1
    assert body.endswith(b"data: [DONE]\n\n")


def test_langchain_chunks_become_an_openai_answer() -> None:
    calls: Any = [{"name": "f", "args": "", "id": "c1", "index": 0, "type": "tool_call_chunk"}]
    more: Any = [
        {"name": None, "args": '{"a":1}', "id": None, "index": 0, "type": "tool_call_chunk"}
    ]
    usage: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    items = [
        AIMessageChunk(content="Hel"),
        (AIMessageChunk(content=[{"type": "text", "text": "lo"}]), {"langgraph_node": "n"}),
        AIMessageChunk(content="", tool_call_chunks=calls),
        AIMessageChunk(content="", tool_call_chunks=more),
        AIMessageChunk(content="", usage_metadata=usage),
    ]
    events = [
        one.data for one in Parser().receive_data(_sent(*items, openai=True))
        if isinstance(one, Event)
    ]  # fmt: skip
    assert events.pop() == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(one) for one in events]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello"
    pieces = [piece for choice in choices for piece in choice.delta.tool_calls or ()]
    assert [(one.index, one.id) for one in pieces] == [(0, "c1"), (0, None)]
    assert "".join((one.function and one.function.arguments) or "" for one in pieces) == '{"a":1}'
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["tool_calls"]
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [7]


def test_a_message_with_a_tool_call_alone_has_the_role_once() -> None:
    calls: Any = [{"name": "f", "args": "{}", "id": "c1", "index": None, "type": "tool_call_chunk"}]
    body = _sent(AIMessageChunk(content="", tool_call_chunks=calls), openai=True)
    assert body.count(b'"role":"assistant"') == 1
    assert b'"finish_reason":"tool_calls"' in body


@pytest.mark.parametrize(
    ("items", "warns"),
    [
        (["data: x", "", "data: y", ""], True),
        (["event: x", "data: y", ""], True),
        (["data: x", "y", ""], False),
        (["a", "data: x", ""], False),
        (["", "data: x", ""], False),
    ],
)
def test_lines_of_another_stream_are_reported(
    items: list[str], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sent = Parser().receive_data(_sent(*items))
    assert [one.data for one in sent if isinstance(one, Event)] == items
    assert any("lines of another" in one for one in _warnings(caplog)) is warns


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[list[str]]:
    yield ["a"]


@contextlib.contextmanager
def _opened_plainly() -> Iterator[list[str]]:
    yield ["a"]


class _Awaitable:
    def __await__(self) -> Iterator[Any]:
        return iter(())

    __iter__ = __await__


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (_opened(), "context manager"),
        (_opened_plainly(), "context manager"),
        (AIMessageChunk(content="a"), "a single AIMessageChunk"),
        (_Awaitable(), "awaitable"),
    ],
)
def test_a_source_that_is_no_stream_is_rejected(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EventStream(source)
    with pytest.raises(UsageError, match=message):
        event_stream(source)

    async def main() -> None:
        call = Call()
        with pytest.raises(UsageError, match=message):
            await call.serve(EventStream(lambda: source))
        assert call.sent == []

    run(main())


def _replayed(*items: Any) -> list[tuple[str, str]]:
    options: Any = {"replay": MemoryReplay(), "replay_key": "k"}
    sent = Parser().receive_data(_sent(*items, **options))
    return [(one.id.partition(":")[2], one.data) for one in sent if isinstance(one, Event)]


def test_each_replayed_event_has_an_id_of_the_store() -> None:
    assert _replayed(Event("a", id="x"), "b") == [("1", "a"), ("2", "b")]
    assert _replayed(Raw(b"id: 7\r\ndata: a\r\n\r\n")) == [("1", "a")]
    assert _replayed({"event": "e", "data": "a", "id": "7"}) == [("1", "a")]
    assert _replayed(Raw(b"data: a\nid\n\ndata: b\nid: 9\n\n")) == [("1", "a"), ("2", "b")]
    assert _replayed(ReconnectHint(id="7"), "id: 5\nid: 6") == [("1", "id: 5\nid: 6")]


class _BlockingStream:
    """Iterable with ``close``, as the blocking streams of SDKs are."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[str]:
        yield "a"
        yield "b"

    def close(self) -> None:
        self.closed += 1


class _SdkStream(_BlockingStream):
    response = "response"


@pytest.mark.parametrize(("kind", "closed"), [(_SdkStream, 1), (_BlockingStream, 0)])
def test_a_blocking_stream_of_an_sdk_is_closed(kind: type[_BlockingStream], closed: int) -> None:
    """Other iterables may be used again, so they are not closed."""

    async def leaving(stream: _BlockingStream) -> None:
        call = Call()
        task = call.start(EventStream(stream))
        await call.until(lambda: b"data: a" in call.body)
        call.disconnected.set()
        await task
        await call.until(lambda: stream.closed == closed)

    stream = kind()
    run(leaving(stream))
    assert stream.closed == closed
    stream = kind()
    body = event_stream(stream).body
    assert b"data: b" in b"".join(body)
    eventually(lambda: stream.closed == closed)
