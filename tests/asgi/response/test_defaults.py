"""Application-wide defaults, and the grace period for open streams at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream, set_defaults
from undam.asgi.response.open_streams import open_streams
from undam.errors import UsageError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    earlier = set_defaults()
    yield
    fields = {name: getattr(earlier, name) for name in earlier.__slots__}
    set_defaults(**fields)


async def _silent() -> AsyncIterator[str]:
    await asyncio.sleep(0.12)
    yield "a"


def _heartbeats(**options: Any) -> int:
    call = run(Call().serve(EventStream(_silent, **options)))
    return call.body.count(b": ping")


def test_a_default_applies_to_streams_that_do_not_set_it() -> None:
    assert _heartbeats() == 0
    set_defaults(heartbeat=0.03)
    assert _heartbeats() >= 2
    assert _heartbeats(heartbeat=None) == 0
    assert _heartbeats(heartbeat=30) == 0


def test_the_text_of_errors_can_be_sent_by_default() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("the reason")

    async def body(**options: Any) -> bytes:
        call = Call()
        with pytest.raises(Exception, match="cut off"):
            await call.serve(EventStream(failing, **options))
        return call.body

    assert b"the reason" not in run(body())
    set_defaults(expose_errors=True)
    assert b"the reason" in run(body())
    assert b"the reason" not in run(body(expose_errors=False))


@pytest.mark.parametrize(
    "options",
    [{"heartbeat": 0}, {"send_timeout": -1}, {"buffer_bytes": 0}, {"shutdown_grace": -1},
     {"shutdown_grace": float("inf")}],
)  # fmt: skip
def test_an_invalid_default_is_rejected_and_changes_nothing(options: Any) -> None:
    before = set_defaults()
    with pytest.raises(UsageError):
        set_defaults(**options)
    assert set_defaults() == before


async def _served_while_stopping(seconds: float) -> Call:
    async def source() -> AsyncIterator[str]:
        await asyncio.sleep(seconds)
        yield "whole"

    call = Call()
    task = call.start(EventStream(source))
    await call.until(lambda: call.bodies)
    open_streams().poll("server", lambda: True)
    await task
    return call


def test_a_stream_may_finish_within_the_grace_time() -> None:
    set_defaults(shutdown_grace=10)
    call = run(_served_while_stopping(0.5))
    assert call.complete
    assert b"data: whole" in call.body


def test_a_stream_that_exceeds_the_grace_time_is_ended() -> None:
    set_defaults(shutdown_grace=0.3)
    call = run(_served_while_stopping(60))
    assert not call.complete


def test_without_grace_streams_end_at_once() -> None:
    call = run(_served_while_stopping(60))
    assert not call.complete
