"""Every way a stream can end: the source is closed once, and ``on_close`` is called once."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream, StreamBroken, end_streams


class Source:
    """Source that yields ``a``, waits, and counts how often its finally block runs."""

    def __init__(self) -> None:
        self.finals = 0
        self.cancelled_at = 0.0

    async def __call__(self) -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled_at = time.monotonic()
            raise
        finally:
            self.finals += 1


async def _started(stream: EventStream, call: Call) -> asyncio.Task[None]:
    """Start a stream and return its task once an event is sent and disconnects are detectable."""
    task = call.start(stream)
    await call.until(lambda: b"data: a\n\n" in call.bodies and call.receiving)
    return task


def test_a_complete_stream_ends_cleanly() -> None:
    async def main() -> None:
        reasons: list[str] = []
        call = await Call().serve(EventStream(["a"], on_close=reasons.append))
        assert call.complete
        assert reasons == ["complete"]

    run(main())


def test_the_source_is_cancelled_within_a_few_iterations_of_a_disconnect() -> None:
    async def main() -> None:
        reasons: list[str] = []
        source, call = Source(), Call()
        task = await _started(EventStream(source, on_close=reasons.append), call)
        turns = 0
        call.disconnected.set()
        while not source.cancelled_at:
            turns += 1
            assert turns < 10, "the cancellation took more than a few turns of the loop"
            await asyncio.sleep(0)
        await task
        assert source.finals == 1
        assert reasons == ["client-left"]
        assert not call.complete

    run(main())


def test_on_close_is_called_if_the_source_never_ran() -> None:
    async def main() -> None:
        reasons: list[str] = []
        source, call = Source(), Call()
        call.disconnected.set()
        call.requests.clear()
        await call.serve(EventStream(source, on_close=reasons.append))
        assert source.finals == 0
        assert reasons == ["client-left"]

    run(main())


def test_a_source_closed_during_a_write_runs_its_finally_block() -> None:
    async def main() -> None:
        class Server(Call):
            async def send(self, message: dict[str, Any]) -> None:
                await super().send(message)
                self.writable.clear() if len(self.sent) == 2 else None

        source, call = Source(), Server()
        task = call.start(EventStream(source))
        await call.until(lambda: call.receiving and not call.writable.is_set())
        await asyncio.sleep(0.01)
        assert b"data: a\n\n" not in call.bodies
        call.disconnected.set()
        await task
        assert source.finals == 1

    run(main())


def test_the_task_of_the_framework_is_not_left_cancelled() -> None:
    # The framework runs the response in its own task and continues to use the task afterwards.
    async def main() -> None:
        call = Call()
        after: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await EventStream(Source())(scope, receive, send)
            task = asyncio.current_task()
            assert task is not None
            after.append(task.cancelling())
            await asyncio.sleep(0.01)
            after.append(task.cancelling())

        task = call.start(app)
        await call.until(lambda: call.receiving)
        call.disconnected.set()
        await task
        assert after == [0, 0]

    run(main())


def test_a_source_that_suppresses_its_cancellation_is_ended() -> None:
    async def main() -> None:
        reasons: list[str] = []
        finals: list[bool] = []

        async def stubborn() -> AsyncIterator[str]:
            try:
                yield "a"
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(3600)
                    yield "b"
            finally:
                finals.append(True)

        call = Call()
        task = await _started(EventStream(stubborn, on_close=reasons.append), call)
        call.disconnected.set()
        await task
        assert reasons == ["client-left"]
        assert finals == [True]

    run(main())


def test_an_error_sends_an_event_and_no_clean_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> Call:
        reasons: list[str] = []

        async def source() -> AsyncIterator[str]:
            yield "a"
            raise ValueError("the password is 1234")

        call = Call()
        with pytest.raises(StreamBroken) as raised:
            await call.serve(EventStream(source, on_close=reasons.append))
        assert isinstance(raised.value.__cause__, ValueError)
        assert reasons == ["error"]
        return call

    call = run(main())
    assert call.bodies[-1] == (
        b'event: error\ndata: {"error":{"message":"The stream failed on the server.",'
        b'"type":"server_error","param":null,"code":null}}\n\n'
    )
    assert not call.complete
    (record,) = caplog.records
    assert record.name == "undam.asgi"
    assert record.exc_info is not None  # An unknown server may not log the traceback.
    assert "ValueError: the password is 1234" in record.getMessage()


def test_the_text_of_an_error_is_sent_only_with_expose_errors() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            raise ValueError("no such model")

        call = Call()
        with pytest.raises(StreamBroken):
            await call.serve(EventStream(source, openai=True, expose_errors=True))
        assert call.bodies[-1].startswith(b'data: {"error":{"message":"no such model"')

    run(main())


def test_a_cancelled_task_inside_the_source_is_an_error() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            inner = asyncio.create_task(asyncio.sleep(3600))
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner

        reasons: list[str] = []
        with pytest.raises(StreamBroken):
            await Call().serve(EventStream(source, on_close=reasons.append))
        assert reasons == ["error"]

    run(main())


def test_an_external_cancellation_is_raised() -> None:
    async def main() -> None:
        reasons: list[str] = []
        source, call = Source(), Call()
        task = await _started(EventStream(source, on_close=reasons.append), call)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.finals == 1
        assert reasons == ["shutdown"]

    run(main())


@pytest.mark.parametrize(("openai", "last"), [(False, b"data: a\n\n"), (True, b"server_shutdown")])
def test_end_streams_does_not_end_streams_cleanly(openai: bool, last: bytes) -> None:
    async def main() -> None:
        reasons: list[str] = []
        calls = [Call() for _ in range(3)]
        tasks = []
        for call in calls:
            stream = EventStream(Source(), openai=openai, on_close=reasons.append)
            tasks.append(call.start(stream))
            await call.until(lambda call=call: len(call.bodies) == 2)  # type: ignore[misc]
        assert end_streams() == 3
        await asyncio.gather(*tasks)
        assert reasons == ["shutdown"] * 3
        assert all(not call.complete and last in call.bodies[-1] for call in calls)
        assert end_streams() == 0

    run(main())


def test_a_source_that_ends_its_own_stream_leaves_no_cancellation_behind() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            end_streams()

        reasons: list[str] = []
        call = await Call().serve(EventStream(source, on_close=reasons.append))
        assert reasons == ["shutdown"]
        assert not call.complete

    run(main())


def test_a_client_that_reads_nothing_is_cut_after_send_timeout() -> None:
    async def main() -> None:
        reasons: list[str] = []

        async def source() -> AsyncIterator[str]:
            while True:
                yield "a"
                await asyncio.sleep(0)

        call = Call()
        task = call.start(
            EventStream(source, heartbeat=None, send_timeout=0.05, on_close=reasons.append)
        )
        await call.until(lambda: len(call.bodies) > 5)
        call.writable.clear()
        began = time.monotonic()
        await task
        assert time.monotonic() - began >= 0.04
        assert reasons == ["send-timeout"]

    run(main())


def test_send_timeout_does_not_apply_to_a_slow_source() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            await asyncio.sleep(0.15)
            yield "a"

        call = await Call().serve(EventStream(source, heartbeat=None, send_timeout=0.03))
        assert call.complete

    run(main())


@pytest.mark.parametrize(
    ("error", "reason"), [(BrokenPipeError, "client-left"), (RuntimeError, "error")]
)
def test_an_exception_of_the_server_is_not_an_error_of_the_source(
    error: type[Exception], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        class Server(Call):
            async def send(self, message: dict[str, Any]) -> None:
                if message.get("body") == b"data: a\n\n":
                    raise error("from the server")
                await super().send(message)

        reasons: list[str] = []
        source, call = Source(), Server()
        serving = call.serve(EventStream(source, on_close=reasons.append))
        if reason == "client-left":
            await serving
        else:
            with pytest.raises(error):
                await serving
        assert reasons == [reason]
        assert source.finals == 1

    run(main())
    assert caplog.records == []


def test_an_exception_of_on_close_is_logged_and_suppressed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_close(reason: str) -> None:
        raise ValueError(reason)

    async def main() -> Call:
        return await Call().serve(EventStream(["a"], on_close=on_close))

    assert run(main()).complete
    assert [record.message for record in caplog.records] == ["on_close of an event stream failed"]


def test_an_exception_while_closing_the_source_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Source:
        def __init__(self) -> None:
            self.items = ["a"]

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> str:
            if not self.items:
                raise StopAsyncIteration
            return self.items.pop()

        async def aclose(self) -> None:
            raise ValueError("in aclose")

    async def main() -> Call:
        return await Call().serve(EventStream(Source()))

    assert run(main()).complete
    assert ["closed" in record.message for record in caplog.records] == [True]


def test_a_plain_iterator_is_closed_when_its_step_returns() -> None:
    async def main() -> None:
        closed: list[float] = []

        def source() -> Iterator[str]:
            try:
                while True:
                    yield "a"
                    time.sleep(0.02)
            finally:
                closed.append(time.monotonic())

        reasons: list[str] = []
        call = Call()
        task = await _started(EventStream(source(), on_close=reasons.append), call)
        call.disconnected.set()
        await task
        await call.until(lambda: closed)
        assert reasons == ["client-left"]
        assert len(closed) == 1

    run(main())


def test_an_exception_of_a_plain_iterator_is_an_error_of_the_source() -> None:
    async def main() -> None:
        def source() -> Iterator[str]:
            yield "a"
            raise ValueError("plain")

        call = Call()
        with pytest.raises(StreamBroken):
            await call.serve(EventStream(source(), expose_errors=True))
        assert b"plain" in call.bodies[-1]

    run(main())


def test_the_source_runs_in_the_requests_task_and_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def main() -> None:
        seen: list[Any] = []

        async def source() -> AsyncIterator[str]:
            seen.append(asyncio.current_task())
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(3600)
            except TimeoutError:
                yield variable.get()
            await asyncio.sleep(0)
            yield variable.get()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            variable.set("the request's")
            await EventStream(source)(scope, receive, send)

        call = Call()
        task = call.start(app)
        await task
        assert seen == [task]
        assert call.bodies[1:3] == [b"data: the request's\n\n"] * 2
        assert call.complete

    run(main())
