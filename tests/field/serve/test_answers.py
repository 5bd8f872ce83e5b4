"""One key per answer: a question never receives another question's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from support.asgi_calls import Call, run
from support.asgi_replay import data_of, events_with_ids, reconnect, wait_for_events
from undam.asgi import Answers, Event, EventStream, MemoryReplay, OpenAIAnswer
from undam.errors import UsageError


def _saying(*tokens: str) -> Callable[[], AsyncIterator[str]]:
    async def source() -> AsyncIterator[str]:
        for token in tokens:
            yield token

    return source


class _Running:
    """Endless source that records whether it is running."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = False

    async def __call__(self) -> AsyncIterator[str]:
        try:
            while True:
                yield str(self.count)
                self.count += 1
                await asyncio.sleep(0.002)
        finally:
            self.ended = True


def _has(call: Call, data: bytes) -> bool:
    return data in call.body


def _check(main: Callable[[], Awaitable[None]]) -> None:
    async def started() -> None:
        await main()

    run(started())


def test_a_second_question_under_the_same_key_gets_its_own_answer() -> None:
    async def main() -> None:
        memory = MemoryReplay()
        for answer in ("4", "Paris"):
            stream = EventStream(_saying(answer), replay=memory, replay_key="conversation")
            assert data_of(await Call("POST").serve(stream)) == [answer]

    _check(main)


def test_a_second_question_does_not_end_the_first_answer() -> None:
    async def main() -> None:
        memory, first = MemoryReplay(), _Running()
        reading = Call("POST")
        task = reading.start(EventStream(first, replay=memory, replay_key="k"))
        await wait_for_events(reading, 2)
        second = await Call("POST").serve(
            EventStream(_saying("other"), replay=memory, replay_key="k")
        )
        assert data_of(second) == ["other"]
        count = len(data_of(reading))
        await wait_for_events(reading, count + 2)
        # The event IDs of the first answer still refer to the first answer.
        ident = events_with_ids(reading.body)[0][0]
        resumed = reconnect(ident, method="POST")
        again = resumed.start(EventStream(first, replay=memory, replay_key="k"))
        await wait_for_events(resumed, 1)
        assert data_of(resumed)[0] == "1"
        for call, one in ((reading, task), (resumed, again)):
            call.disconnected.set()
            await one
        await memory.stop("k")

    _check(main)


def test_a_get_request_reads_along() -> None:
    async def main() -> None:
        memory = MemoryReplay()
        stream = EventStream(_saying("a"), replay=memory, replay_key="k")
        assert data_of(await Call("POST").serve(stream)) == ["a"]
        other = EventStream(_saying("b"), replay=memory, replay_key="k")
        assert data_of(await Call("GET").serve(other)) == ["a"]

    _check(main)


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "\t\n",
        "None",
        "null",
        "undefined",
        "user:None",
        "chat/undefined/1",
        "AnonymousUser",
        7,
        None,
    ],
)
def test_a_key_that_users_without_an_id_would_share_is_rejected(key: Any) -> None:
    with pytest.raises(UsageError, match="replay"):
        EventStream(_saying("a"), replay=MemoryReplay(), replay_key=key)


@pytest.mark.parametrize("owner", ["", "  ", "None", "undefined", True])
def test_an_owner_that_users_without_an_id_would_share_is_rejected(owner: str) -> None:
    with pytest.raises(UsageError, match="owner"):
        run(Answers(MemoryReplay()).start(_saying("a"), owner=owner))


def test_the_key_is_reported_in_a_header_and_a_first_event() -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay())
        answer = await answers.start(_saying("a", "b"), owner=1)
        call = await Call("POST").serve(EventStream(answer))
        assert call.headers["answer-key"] == answer.key
        assert call.body.startswith(
            b': open\nevent: answer\ndata: {"key":"%b"}\n\n' % answer.key.encode()
        )
        assert data_of(call) == ["a", "b"]
        # A later reader already knows the key, so the response does not contain it.
        again = await Call().serve(EventStream(answers.attach(answer.key, owner=1)))
        assert "answer-key" not in again.headers
        assert b"event: answer" not in again.body
        assert data_of(again) == ["a", "b"]

    _check(main)


def test_an_openai_answer_has_no_event_that_its_clients_do_not_know() -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay(), openai=OpenAIAnswer(model="m"))
        answer = await answers.start(_saying("a"), owner=1)
        call = await Call("POST").serve(EventStream(answer))
        assert call.headers["answer-key"] == answer.key
        assert b"event:" not in call.body
        assert call.body.endswith(b"data: [DONE]\n\n")
        again = await Call().serve(EventStream(answers.attach(answer.key, owner=1)))
        assert again.body.removeprefix(b": open\n") == call.body.removeprefix(b": open\n")

    _check(main)


def test_an_answer_does_not_exist_for_another_owner() -> None:
    async def main() -> None:
        answers, source = Answers(MemoryReplay()), _Running()
        answer = await answers.start(source, owner="alice")
        for owner in ("bob", None, "alice2", 1):
            call = await Call().serve(EventStream(answers.attach(answer.key, owner=owner)))
            assert call.status == 404
            assert await answers.status(answer.key, owner=owner) is None
            assert not await answers.stop(answer.key, owner=owner)
            if owner is not None:
                assert await answers.list(owner=owner) == []
        assert not source.ended
        (status,) = await answers.list(owner="alice")
        assert (status.key, status.state) == (answer.key, "running")
        assert await answers.stop(answer.key, owner="alice")
        assert source.ended

    _check(main)


def test_an_owner_cannot_form_the_name_of_another_owners_answer() -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay())
        answer = await answers.start(_saying("secret"), owner="a/b")
        for owner, name in (
            ("a", f"b/{answer.key}"),
            ("a/b/", answer.key),
            ("a/b\ud800", answer.key),
        ):
            call = await Call().serve(EventStream(answers.attach(name, owner=owner)))
            assert call.status == 404

    _check(main)


def test_stop_ends_every_reader_cleanly_and_cancels_the_source() -> None:
    async def main() -> None:
        answers, source = Answers(MemoryReplay()), _Running()
        answer = await answers.start(source, owner="a")
        calls = [Call(), Call()]
        reasons: list[str] = []
        tasks = [
            call.start(EventStream(answers.attach(answer.key, owner="a"), on_close=reasons.append))
            for call in calls
        ]
        for call in calls:
            await wait_for_events(call, 2)
        assert await answers.stop(answer.key, owner="a")
        await asyncio.gather(*tasks)
        assert source.ended
        assert reasons == ["stopped", "stopped"]
        for call in calls:
            assert call.body.endswith(b"event: stopped\ndata: {}\n\n")
            assert call.complete
        assert not await answers.stop(answer.key, owner="a")
        status = await answers.status(answer.key, owner="a")
        assert status is not None
        assert status.state == "stopped"
        # A reader that has received all events gets status 204, not a stream that has already
        # ended.
        last = reconnect(status.last_event_id)
        assert (await last.serve(EventStream(answers.attach(answer.key, owner="a")))).status == 204

    _check(main)


def test_states_of_answers_and_the_newest_first() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("expected")

    async def main() -> None:
        answers = Answers(MemoryReplay())
        good = await answers.start(_saying("a", "b"), owner=1)
        bad = await answers.start(failing, owner=1)
        await Call().serve(EventStream(good))
        with pytest.raises(Exception, match="cut off") as raised:
            await Call().serve(EventStream(bad))
        assert isinstance(raised.value.__cause__, ValueError)
        found = [(one.key, one.state, one.events) for one in await answers.list(owner=1)]
        assert found == [(bad.key, "failed", 2), (good.key, "complete", 2)]
        with pytest.raises(UsageError, match="listed"):
            await answers.list(owner=None)

    _check(main)


def test_the_task_scope_outlives_the_reader_and_not_the_source() -> None:
    log: list[str] = []

    async def session() -> AsyncIterator[str]:
        log.append("open")
        yield "session"
        log.append("closed")

    async def tokens(value: str) -> AsyncIterator[str]:
        for number in range(6):
            log.append(f"{value} {number}")
            yield str(number)
            await asyncio.sleep(0.005)

    async def main() -> None:
        answers = Answers(MemoryReplay(), task_scope=session)
        answer = await answers.start(tokens, owner=1)
        reader = Call()
        task = reader.start(EventStream(answer))
        await wait_for_events(reader, 2)
        reader.disconnected.set()
        await task
        later = await Call().serve(EventStream(answers.attach(answer.key, owner=1)))
        assert data_of(later) == list("012345")
        assert log == ["open", *(f"session {number}" for number in range(6)), "closed"]

    _check(main)


def test_the_task_scope_is_left_when_the_source_fails_or_is_stopped() -> None:
    log: list[str] = []

    async def session() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("closed")

    async def failing(value: int) -> AsyncIterator[str]:
        yield str(value)
        raise ValueError("expected")

    async def main() -> None:
        with pytest.raises(Exception, match="cut off"):
            await Call().serve(EventStream(failing, task_scope=session))
        assert log == ["closed"]
        source = _Running()
        answers = Answers(MemoryReplay())
        answer = await answers.start(lambda _: source(), owner=1, task_scope=session)
        await asyncio.sleep(0.01)
        await answers.stop(answer.key, owner=1)
        assert log == ["closed", "closed"]
        assert source.ended

    _check(main)


def test_publish_reaches_every_reader_and_a_reader_that_comes_back() -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay())
        await answers.publish("news", "before")
        calls = [Call(), Call()]
        tasks = [call.start(EventStream(answers.subscribe("news"))) for call in calls]
        for call in calls:
            await call.until(partial(_has, call, b": open"))
        first = await answers.publish("news", {"n": 1})
        await answers.publish("news", Event("2", "kind"))
        await answers.publish("weather", "sun")
        for call in calls:
            await call.until(partial(_has, call, b"kind"))
            assert b"before" not in call.body
            assert b"sun" not in call.body
            assert b'id: %b\ndata: {"n":1}\n\n' % first.encode() in call.body
        calls[0].disconnected.set()
        await tasks[0]
        await answers.publish("news", "3")
        back = reconnect(first)
        task = back.start(EventStream(answers.subscribe("news")))
        await back.until(lambda: b"data: 3" in back.body)
        assert back.body.count(b"data: ") == 2
        assert await answers.close("news")
        await asyncio.gather(task, tasks[1])
        assert back.complete

    _check(main)


@pytest.mark.parametrize("item", [None, "data: a\n\ndata: b\n\n"])
def test_publish_takes_one_event(item: Any) -> None:
    with pytest.raises(UsageError, match="one event"):
        run(Answers(MemoryReplay()).publish("news", item))


def test_a_slow_reader_of_a_topic_does_not_delay_the_publisher() -> None:
    async def main() -> None:
        answers = Answers(MemoryReplay(max_events=4))
        slow = Call()
        task = slow.start(EventStream(answers.subscribe("news")))
        await slow.until(lambda: slow.bodies)
        slow.writable.clear()
        async with asyncio.timeout(1):
            for number in range(50):
                await answers.publish("news", str(number))
        slow.disconnected.set()
        slow.writable.set()
        await asyncio.gather(task, return_exceptions=True)
        await answers.close("news")

    _check(main)
