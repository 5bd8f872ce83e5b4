"""Write of pending events when the source suspends: errors and race conditions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream, StreamBroken

HELD = b"data: b\n\n"


class Server(Call):
    """Server that blocks, or fails with ``error``, when it sends the pending event."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.reached = False

    async def send(self, message: dict[str, Any]) -> None:
        if message.get("body", b"").startswith(HELD):
            self.reached = True
            if self.error is not None:
                raise self.error
        else:
            self.writable.set()
        await super().send(message)


class Gated(Server):
    """Server that blocks when it sends the pending event, until the test releases the write."""

    async def send(self, message: dict[str, Any]) -> None:
        if message.get("body", b"").startswith(HELD) and not self.reached:
            self.reached = True
            gate = self.writable = asyncio.Event()
            await gate.wait()
        await Call.send(self, message)


@pytest.fixture(autouse=True)
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine, a turn could reach the default limit of 2 ms, which would split the write.
    monkeypatch.setattr("undam.asgi.response.streamed_response.TURN_S", 10.0)


def test_a_future_with_several_waiters_wakes_the_source() -> None:
    async def main() -> None:
        shared = asyncio.get_running_loop().create_future()

        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            yield str(await shared)

        call = Gated()
        task = call.start(EventStream(source))
        await call.until(lambda: call.reached)

        async def other() -> object:
            return await shared

        waiting = asyncio.create_task(other())
        await asyncio.sleep(0)
        call.writable.set()
        await call.until(lambda: HELD in call.bodies)
        shared.set_result("c")
        assert await waiting == "c"
        await task
        assert call.bodies == [b": open\n", b"data: a\n\n", HELD, b"data: c\n\n", b""]

    run(main())


def test_a_future_that_completes_during_the_write_wakes_the_source() -> None:
    async def main() -> None:
        shared = asyncio.get_running_loop().create_future()

        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            yield str(await shared)

        call = Gated()
        task = call.start(EventStream(source))
        await call.until(lambda: call.reached)
        shared.set_result("c")
        await asyncio.sleep(0)
        call.writable.set()
        await task
        assert call.body.endswith(HELD + b"data: c\n\n")

    run(main())


def test_a_disconnect_during_the_write_cancels_the_source() -> None:
    async def main() -> None:
        finals: list[str] = []
        reasons: list[str] = []

        async def source() -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                finals.append("cancelled")
                raise

        call = Gated()
        task = call.start(EventStream(source, on_close=reasons.append))
        await call.until(lambda: call.reached and call.receiving)
        call.disconnected.set()
        await task
        assert finals == ["cancelled"]
        assert reasons == ["client-left"]

    run(main())


@pytest.mark.parametrize(
    ("error", "reason"), [(BrokenPipeError(), "client-left"), (KeyError("server"), "error")]
)
def test_a_failed_write_is_not_raised_in_the_source(error: Exception, reason: str) -> None:
    async def main() -> None:
        seen: list[str] = []
        reasons: list[str] = []

        async def source() -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
                await asyncio.sleep(3600)
            except BaseException as caught:
                seen.append(type(caught).__name__)
                raise

        serving = Server(error).serve(EventStream(source, on_close=reasons.append))
        if reason == "error":
            with pytest.raises(KeyError):
                await serving
        else:
            await serving
        assert seen == ["CancelledError"]
        assert reasons == [reason]

    run(main())


@pytest.mark.parametrize("goes_on", [True, False])
def test_nothing_follows_a_write_interrupted_by_a_timeout_of_the_source(goes_on: bool) -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            try:
                async with asyncio.timeout(0.02):
                    await asyncio.sleep(3600)
            except TimeoutError:
                if goes_on:
                    yield "c"

        reasons: list[str] = []
        call = Gated()
        with pytest.raises(RuntimeError, match="interrupted"):
            await call.serve(EventStream(source, on_close=reasons.append))
        assert not call.complete
        assert b"data: c" not in call.body
        assert reasons == ["error"]

    run(main())


def test_pending_events_are_sent_before_the_error_event() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            raise ValueError

        call = Call()
        with pytest.raises(StreamBroken):
            await call.serve(EventStream(source))
        assert call.bodies[-1].startswith(HELD + b"event: error\n")

    run(main())
