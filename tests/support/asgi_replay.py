"""Helpers for tests of stream replay: both event loops, parsed events, and reconnects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from support.asgi_calls import Call

Result = TypeVar("Result")
RunMain = Callable[[Coroutine[Any, Any, Any]], Any]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

_EVENT = re.compile(rb"id: ([^\n]*)\ndata: ([^\n]*)\n\n")


def run_on(loop: str, main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` on a new loop with a time limit; fail on unfinished tasks and loop errors."""

    async def bounded() -> Result:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        result = await asyncio.wait_for(main, 30)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task.get_name() for task in left] == []
        assert errors == []
        return result

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(bounded())


def events_with_ids(body: bytes) -> list[tuple[str, str]]:
    """Return (id, data) for each event that has both."""
    return [(ident.decode(), data.decode()) for ident, data in _EVENT.findall(body)]


def data_of(call: Call) -> list[str]:
    """Return the data of each event that the call has received."""
    return [data for _, data in events_with_ids(call.body)]


def reconnect(ident: str | bytes, **scope: Any) -> Call:
    """Return a request with a ``Last-Event-ID`` header."""
    raw = ident.encode() if isinstance(ident, str) else ident
    return Call(headers=[(b"last-event-id", raw)], **scope)


async def wait_for_events(call: Call, count: int) -> None:
    """Wait until the call has received ``count`` events."""
    await call.until(lambda: len(data_of(call)) >= count)
