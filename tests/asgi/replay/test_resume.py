"""`EventStream(replay=…)` with a minimal store that implements the replay protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream, Replay, ReplayGap, ReplayOver, SourceFailed, StreamBroken
from undam.asgi.replay.interface import Producer, StoredEvent
from undam.sse import Event


class Store:
    """Store that keeps the last ``keep`` events of one key and never stops the source."""

    def __init__(self, keep: int = 100, on_gap: Literal["204", "event"] = "event") -> None:
        self.on_gap: Literal["204", "event"] = on_gap
        self.keep = keep
        self.kept: list[tuple[int, bytes]] = []
        self.produced = 0
        self.runs = 0
        self.task: asyncio.Task[None] | None = None
        self.news = asyncio.Event()
        self.readers = 0

    async def append(self, data: bytes) -> str:
        self.produced += 1
        self.kept = [*self.kept, (self.produced, data)][-self.keep :]
        self._tell()
        return str(self.produced)

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    async def attach(
        self, key: str, last_id: str | None, produce: Producer
    ) -> AsyncGenerator[StoredEvent, None]:
        if self.task is None and last_id:
            raise ReplayOver(f"{key} is unknown")
        if self.task is None:
            self.runs += 1
            self.task = asyncio.create_task(self._run(produce))
        after = int(last_id or 0)
        if self.kept and last_id and after < self.kept[0][0] - 1:
            raise ReplayGap(f"{last_id} is gone")
        if self.task.done() and after == self.produced:
            raise ReplayOver(key)
        return self._read(after, self.task)

    async def _run(self, produce: Producer) -> None:
        try:
            for data in await produce(self.append, 0):
                await self.append(data)
        except SourceFailed as failure:
            await self.append(failure.last)
            raise
        finally:
            # Readers are notified in the next loop iteration, when the task has finished.
            asyncio.get_running_loop().call_soon(self._tell)

    async def _read(
        self, after: int, task: asyncio.Task[None]
    ) -> AsyncGenerator[StoredEvent, None]:
        self.readers += 1
        try:
            while True:
                news, done = self.news, task.done()
                for number, data in self.kept:
                    if number > after:
                        after = number
                        yield str(number), data
                if done:
                    task.result()
                    return
                await news.wait()
        finally:
            self.readers -= 1


async def _numbers(count: int, gap: float = 0.0) -> AsyncIterator[str]:
    for i in range(1, count + 1):
        yield f"n{i}"
        if gap:
            await asyncio.sleep(gap)


def _stream(store: Replay, source: Any, **options: Any) -> EventStream:
    return EventStream(source, replay=store, replay_key="k", **options)


def _back(last_id: str) -> Call:
    return Call(headers=[(b"last-event-id", last_id.encode())])


def test_every_event_has_the_id_of_the_store() -> None:
    async def main() -> None:
        call = await Call().serve(_stream(Store(), _numbers(2)))
        assert call.body == b": open\nid: 1\ndata: n1\n\nid: 2\ndata: n2\n\n"
        assert call.complete

    run(main())


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_reconnecting_reader_gets_missed_and_new_events(where: str) -> None:
    async def main() -> None:
        store, reasons = Store(), list[str]()
        first = Call()
        task = first.start(_stream(store, _numbers(6, 0.02), on_close=reasons.append))
        await first.until(lambda: b"data: n2\n\n" in first.body)
        first.disconnected.set()
        await task
        assert reasons == ["client-left"]
        assert store.readers == 0
        again = _back("2") if where == "header" else Call(query_string=b"a=b&last_event_id=2")
        await again.serve(_stream(store, _numbers(6)))
        expected = b"".join(b"id: %d\ndata: n%d\n\n" % (i, i) for i in range(3, 7))
        assert again.body == b": open\n" + expected
        assert store.runs == 1

    run(main())


def test_the_unused_source_of_a_further_reader_is_closed() -> None:
    async def main() -> None:
        store = Store()
        await Call().serve(_stream(store, _numbers(3)))
        unused = _numbers(3)
        await _back("1").serve(_stream(store, unused))
        with pytest.raises(StopAsyncIteration):
            await anext(unused)

    run(main())


@pytest.mark.parametrize("last_id", ["3", "2"])
def test_an_ended_stream_or_a_gap_can_be_answered_with_204(last_id: str) -> None:
    async def main() -> None:
        store, reasons = Store(keep=1, on_gap="204"), list[str]()
        await Call().serve(_stream(store, _numbers(3)))
        if last_id == "2":
            store.keep = 1
            store.kept = [(9, b"data: n9\n\n")]
        call = await _back(last_id).serve(_stream(store, _numbers(3), on_close=reasons.append))
        assert call.status == 204
        assert call.body == b""
        assert reasons == ["complete"]

    run(main())


def test_a_gap_event_precedes_the_stored_events() -> None:
    async def main() -> None:
        store = Store(keep=2)
        await Call().serve(_stream(store, _numbers(5)))
        call = await _back("1").serve(_stream(store, _numbers(5)))
        assert call.body == (
            b': open\nevent: gap\ndata: {"last_event_id":"1"}\n\n'
            b"id: 4\ndata: n4\n\nid: 5\ndata: n5\n\n"
        )

    run(main())


def test_the_id_of_the_store_replaces_the_id_of_an_event() -> None:
    async def main() -> None:
        call = await Call().serve(_stream(Store(), [Event("a", "note", "mine")]))
        assert call.body == b": open\nid: 1\nevent: note\ndata: a\n\n"

    run(main())


def test_the_first_heartbeat_already_has_the_form_for_ids() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            await asyncio.sleep(0.1)
            yield "a"

        call = await Call().serve(_stream(Store(), source(), heartbeat=0.02))
        assert b": ping\n" in call.bodies
        assert b": ping\n\n" not in call.bodies

    run(main())


def test_an_error_of_the_source_is_stored_and_cuts_every_reader(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            raise ValueError("secret")

        store = Store()
        for call in (Call(), _back("1")):
            with pytest.raises(StreamBroken):
                await call.serve(_stream(store, source()))
            assert b"id: 2\nevent: error\n" in call.body
            assert b"secret" not in call.body
            assert not call.complete
        assert store.task is not None
        with pytest.raises(SourceFailed):
            store.task.result()

    run(main())
    assert [record.name for record in caplog.records] == ["undam.asgi"]


def test_an_openai_answer_is_stored_completely() -> None:
    async def main() -> None:
        call = await Call().serve(_stream(Store(), ["a"], openai=True))
        assert call.body.endswith(b"data: [DONE]\n\n")
        # The token, the finish reason and [DONE] are separate events.
        assert call.body.count(b"\nid: ") == 3
        assert call.complete

    run(main())


def test_a_source_that_never_suspends_yields_in_a_replay() -> None:
    async def main() -> None:
        turns = 0
        task = Call().start(_stream(Store(), _numbers(1000)))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10

    run(main())
