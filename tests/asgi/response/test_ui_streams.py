"""Streams for chat user interfaces, compared with their protocols event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from support.asgi_replay import reconnect
from undam.apis.agents import is_agui
from undam.apis.vercel import is_ui_message
from undam.asgi import AgUiRun, Answers, EventStream, MemoryReplay, StreamBroken, UIMessageAnswer
from undam.errors import UsageError
from undam.sse import Event, Parser
from undam.wsgi import event_stream


def _events(body: bytes) -> list[Any]:
    items = [one for one in Parser().receive_data(body) if isinstance(one, Event)]
    return [one.data if one.data == "[DONE]" else json.loads(one.data) for one in items]


def _sent(*items: Any, **options: Any) -> list[Any]:
    return _events(run(Call().serve(EventStream(list(items), **options))).body)


UI = UIMessageAnswer(id="m1")
RUN = AgUiRun(thread_id="t", run_id="r")
_TOOL = {"type": "tool-input-start", "toolCallId": "c", "toolName": "f"}


def test_text_becomes_one_part_of_a_ui_message() -> None:
    events = _sent("Hel", "", "lo\n", protocol=UI)
    assert events == [
        {"type": "start", "messageId": "m1"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Hel"},
        {"type": "text-delta", "id": "1", "delta": "lo\n"},
        {"type": "text-end", "id": "1"},
        {"type": "finish"},
        "[DONE]",
    ]
    # Other streams also have events of the type "finish".
    assert all(is_ui_message("", one) for one in events[:-2])


def test_a_part_of_the_application_closes_the_text() -> None:
    kinds = [one["type"] for one in _sent("a", _TOOL, None, b"b", protocol=UI)[:-1]]
    assert kinds == [
        "start", "text-start", "text-delta", "text-end", "tool-input-start",
        "text-start", "text-delta", "text-end", "finish",
    ]  # fmt: skip


def test_start_and_finish_of_the_application_are_not_doubled() -> None:
    own = [{"type": "start", "messageId": "x"}, "a", {"type": "finish"}]
    kinds = [one["type"] for one in _sent(*own, protocol=UI)[:-1]]
    assert kinds == ["start", "text-start", "text-delta", "text-end", "finish"]
    run_events = [{"type": "RUN_STARTED"}, "a", {"type": "RUN_FINISHED"}]
    kinds = [one["type"] for one in _sent(*run_events, protocol=RUN)]
    assert kinds == [
        "RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]  # fmt: skip


def test_an_empty_answer_has_a_start_and_a_finish() -> None:
    assert [one["type"] for one in _sent(protocol=UI)[:-1]] == ["start", "finish"]
    assert [one["type"] for one in _sent(protocol=RUN)] == ["RUN_STARTED", "RUN_FINISHED"]


def test_text_becomes_one_message_of_an_ag_ui_run() -> None:
    events = _sent("a", {"type": "STATE_DELTA", "delta": []}, "b", protocol=RUN)
    ids = {"threadId": "t", "runId": "r"}
    assert events[0] == {"type": "RUN_STARTED", **ids}
    assert events[1] == {"type": "TEXT_MESSAGE_START", "messageId": "r-1", "role": "assistant"}
    assert events[2] == {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r-1", "delta": "a"}
    assert [one["type"] for one in events[3:6]] == [
        "TEXT_MESSAGE_END", "STATE_DELTA", "TEXT_MESSAGE_START",
    ]  # fmt: skip
    assert events[-1] == {"type": "RUN_FINISHED", **ids}
    assert all(is_agui("", one) for one in events)


@pytest.mark.parametrize(
    ("protocol", "kind"), [(UI, "error"), (RUN, "RUN_ERROR")], ids=["ui", "ag-ui"]
)
def test_a_failure_is_an_error_of_the_protocol(protocol: Any, kind: str) -> None:
    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("secret")

    async def main() -> Call:
        call = Call()
        with pytest.raises(StreamBroken):
            await call.serve(EventStream(failing, protocol=protocol))
        return call

    call = run(main())
    assert _events(call.body)[-1]["type"] == kind
    assert b"secret" not in call.body


def test_the_header_of_the_ai_sdk() -> None:
    call = run(Call().serve(EventStream(["a"], protocol=UI)))
    assert call.headers["x-vercel-ai-ui-message-stream"] == "v1"
    _, headers, body = event_stream(["a"], protocol=UI)
    assert ("x-vercel-ai-ui-message-stream", "v1") in headers
    assert _events(b"".join(body))[-1] == "[DONE]"
    with pytest.raises(UsageError, match="both choose"):
        EventStream(["a"], protocol=UI, openai=True)


@pytest.mark.parametrize("protocol", [UI, RUN], ids=["ui", "ag-ui"])
def test_an_answer_keeps_its_format_for_later_readers(protocol: Any) -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay(), protocol=protocol)
        answer = await answers.start(lambda: ["a", "b"], owner=1)
        whole = await Call().serve(EventStream(answer))
        again = await Call().serve(EventStream(answers.attach(answer.key, owner=1)))
        assert _events(again.body) == _events(whole.body)
        gap = await reconnect("0" * 24 + ":9").serve(
            EventStream(answers.attach(answer.key, owner=1))
        )
        assert "rror" in _events(gap.body)[0]["type"] or "ERROR" in _events(gap.body)[0]["type"]

    run(main())


@pytest.mark.parametrize("protocol", [UI, RUN], ids=["ui", "ag-ui"])
def test_a_stopped_answer_ends_in_the_protocol(protocol: Any) -> None:
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "a"
            await asyncio.sleep(0.001)

    async def main() -> None:
        answers = Answers(MemoryReplay(), protocol=protocol)
        answer = await answers.start(endless, owner=1)
        call = Call()
        task = call.start(EventStream(answer))
        await call.until(lambda: b'"delta":"a"' in call.body)
        await answers.stop(answer.key, owner=1)
        await task
        assert call.complete
        end = _events(call.body)[-1]
        assert end == "[DONE]" or end["type"] == "RUN_ERROR"

    run(main())
