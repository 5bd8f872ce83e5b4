"""The timer of a loop: who is looked at when, and that it keeps nobody who is closed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from math import inf
from time import monotonic

import pytest
import uvloop

from undam.aio.deadlines import DeadlineTimer

MINUTE = 60.0


class Connection:
    """Closes itself when it is looked at, unless it has something to wait for."""

    def __init__(self) -> None:
        self.next_deadline = inf
        self.closed = False
        self.seen: list[float] = []
        self.again: list[float] = []

    def on_deadline(self, now: float) -> float:
        self.seen.append(now)
        if self.again:
            return self.again.pop(0)
        self.closed = True
        return inf


def in_loop(play: Callable[[DeadlineTimer], None], seconds: float = 0.0) -> None:
    async def main() -> None:
        timer = DeadlineTimer(asyncio.get_running_loop())
        play(timer)
        await asyncio.sleep(seconds)
        timer.stop()

    asyncio.run(main())


def test_a_connection_is_looked_at_when_it_is_due_and_then_when_it_says() -> None:
    connection = Connection()
    start = monotonic()
    connection.again = [start + 0.06]
    in_loop(lambda timer: timer.schedule(connection, start + 0.02), 0.1)
    first, second = connection.seen
    assert first >= start + 0.02
    assert second >= start + 0.06


def test_the_earlier_of_two_deadlines_counts_and_the_later_is_not_another_visit() -> None:
    connection = Connection()
    start = monotonic()

    def play(timer: DeadlineTimer) -> None:
        timer.schedule(connection, start + 0.05)
        timer.schedule(connection, start + 0.02)
        timer.schedule(connection, start + 0.08)

    connection.again = [start + 0.05]
    in_loop(play, 0.12)
    assert len(connection.seen) == 2


def test_a_closed_connection_is_not_looked_at() -> None:
    connection = Connection()

    def play(timer: DeadlineTimer) -> None:
        timer.schedule(connection, monotonic() + 0.01)
        connection.closed = True
        timer.cancel(connection)
        timer.schedule(connection, monotonic() + 0.01)

    in_loop(play, 0.03)
    assert connection.seen == []


@pytest.mark.parametrize("deadlines", [(1,), (3, 2, 1)], ids=["one each", "overtaken twice"])
def test_connections_that_closed_are_let_go_long_before_their_time(
    deadlines: tuple[int, ...],
) -> None:
    """Each holds what its connection held: at one thousand it was 1.5 MB for a minute."""
    alive: list[weakref.ref[Connection]] = []

    def play(timer: DeadlineTimer) -> None:
        for _ in range(1000):
            connection = Connection()
            alive.append(weakref.ref(connection))
            for deadline in deadlines:
                timer.schedule(connection, monotonic() + deadline * MINUTE)
            connection.closed = True
            timer.cancel(connection)
            del connection
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 64

    in_loop(play)


def test_those_that_are_still_open_keep_their_deadlines_when_others_are_let_go() -> None:
    staying = [Connection() for _ in range(50)]

    def play(timer: DeadlineTimer) -> None:
        for connection in staying:
            timer.schedule(connection, monotonic() + MINUTE)
            timer.schedule(connection, monotonic() + 0.02)
        for _ in range(1000):
            connection = Connection()
            timer.schedule(connection, monotonic() + 0.01)
            connection.closed = True
            timer.cancel(connection)

    in_loop(play, 0.1)
    assert [len(connection.seen) for connection in staying] == [1] * 50


def test_waiting_for_a_fraction_of_a_millisecond_takes_few_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0
    fire = DeadlineTimer._fire

    def counted(timer: DeadlineTimer) -> None:
        nonlocal turns
        turns += 1
        fire(timer)

    monkeypatch.setattr(DeadlineTimer, "_fire", counted)
    connections = [Connection() for _ in range(40)]

    async def main() -> None:
        timer = DeadlineTimer(asyncio.get_running_loop())
        for number, connection in enumerate(connections):
            timer.schedule(connection, monotonic() + 0.0004 + 0.0051 * number)
        await asyncio.sleep(0.3)
        timer.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert all(connection.closed for connection in connections)
    assert turns <= 2 * len(connections)
