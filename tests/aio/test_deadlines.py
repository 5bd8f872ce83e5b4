"""DeadlineTimer: the times of callbacks, and the release of closed objects."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import Callable
from math import inf
from time import monotonic

import pytest
import uvloop

from undam.aio.deadlines import DeadlineTimer, coalesced, loop_timer

MINUTE = 60.0


class Connection:
    """Connection that closes at its deadline, unless ``next_calls`` has a later deadline left."""

    def __init__(self, *next_calls: float) -> None:
        self.next_deadline = inf
        self.closed = False
        self.called_at: list[float] = []
        self.next_calls = list(next_calls)

    def on_deadline(self, now: float) -> float:
        self.called_at.append(now)
        if self.next_calls:
            return self.next_calls.pop(0)
        self.closed = True
        return inf


class FailingConnection(Connection):
    def on_deadline(self, now: float) -> float:
        raise ValueError("this one")


def run_with_timer(scenario: Callable[[DeadlineTimer], None], seconds: float = 0.0) -> list[str]:
    """Run ``scenario``, then run the event loop for ``seconds``.

    Returns:
        The exceptions that reached the loop's exception handler.
    """
    errors: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(str(context["exception"])))
        timer = DeadlineTimer(loop)
        scenario(timer)
        await asyncio.sleep(seconds)
        timer.stop()

    asyncio.run(main())
    return errors


def close(timer: DeadlineTimer, connection: Connection) -> None:
    connection.closed = True
    timer.cancel(connection)


def test_an_object_is_called_at_its_deadline_and_at_the_one_it_returns() -> None:
    start = monotonic()
    connection = Connection(start + 0.06)
    run_with_timer(lambda timer: timer.schedule(connection, start + 0.02), 0.1)
    first, second = connection.called_at
    assert first >= start + 0.02
    assert second >= start + 0.06


def test_only_the_earliest_of_several_deadlines_causes_a_call() -> None:
    start = monotonic()
    connection = Connection(start + 0.05)

    def scenario(timer: DeadlineTimer) -> None:
        timer.schedule(connection, start + 0.05)
        timer.schedule(connection, start + 0.02)
        timer.schedule(connection, start + 0.08)

    run_with_timer(scenario, 0.12)
    assert len(connection.called_at) == 2


def test_a_closed_object_is_not_called() -> None:
    connection = Connection()

    def scenario(timer: DeadlineTimer) -> None:
        timer.schedule(connection, monotonic() + 0.01)
        close(timer, connection)
        timer.schedule(connection, monotonic() + 0.01)

    run_with_timer(scenario, 0.03)
    assert connection.called_at == []


def test_an_exception_in_one_object_does_not_stop_the_others() -> None:
    failing, later = FailingConnection(), Connection()

    def scenario(timer: DeadlineTimer) -> None:
        timer.schedule(failing, monotonic() + 0.005)
        timer.schedule(later, monotonic() + 0.02)

    assert run_with_timer(scenario, 0.05) == ["this one"]
    assert len(later.called_at) == 1


@pytest.mark.parametrize("deadlines", [(1,), (3, 2, 1)], ids=["one each", "replaced twice"])
def test_closed_objects_are_released_long_before_their_deadline(
    deadlines: tuple[int, ...],
) -> None:
    """While an object is registered, its buffers stay in memory: 1.5 MB for 1,000 connections."""
    references: list[weakref.ref[Connection]] = []

    def scenario(timer: DeadlineTimer) -> None:
        timer.schedule(Connection(), monotonic() + MINUTE)
        for _ in range(1000):
            connection = Connection()
            references.append(weakref.ref(connection))
            for deadline in deadlines:
                timer.schedule(connection, monotonic() + deadline * MINUTE)
            close(timer, connection)
            del connection
        gc.collect()
        assert sum(reference() is not None for reference in references) <= 64

    run_with_timer(scenario)


def test_open_objects_keep_their_deadlines_when_stale_entries_are_removed() -> None:
    staying = [Connection() for _ in range(50)]

    def scenario(timer: DeadlineTimer) -> None:
        for connection in staying:
            timer.schedule(connection, monotonic() + MINUTE)
            timer.schedule(connection, monotonic() + 0.02)
        for _ in range(1000):
            connection = Connection()
            timer.schedule(connection, monotonic() + 0.01)
            close(timer, connection)

    run_with_timer(scenario, 0.1)
    assert [len(connection.called_at) for connection in staying] == [1] * 50


def test_without_objects_the_loop_has_no_timer() -> None:
    def scenario(timer: DeadlineTimer) -> None:
        connection = Connection()
        timer.schedule(connection, monotonic() + MINUTE)
        handle = timer._handle
        assert handle is not None
        close(timer, connection)
        assert handle.cancelled()

    run_with_timer(scenario)


def test_sub_millisecond_deadlines_do_not_make_the_loop_spin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wake_ups = 0
    fire = DeadlineTimer._fire

    def counted(timer: DeadlineTimer) -> None:
        nonlocal wake_ups
        wake_ups += 1
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
    assert wake_ups <= 2 * len(connections)


def test_a_stopped_timer_accepts_its_objects_again() -> None:
    connection = Connection()

    def scenario(timer: DeadlineTimer) -> None:
        timer.schedule(connection, monotonic() + MINUTE)
        timer.stop()
        timer.schedule(connection, monotonic() + 0.01)

    run_with_timer(scenario, 0.03)
    assert len(connection.called_at) == 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_each_loop_has_one_timer_and_the_timer_is_released_with_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    loop = new_loop()
    timer = weakref.ref(loop_timer(loop))
    assert loop_timer(loop) is timer()
    loop.close()
    del loop
    gc.collect()
    assert timer() is None


def test_close_deadlines_of_one_interval_become_equal() -> None:
    moments = [1000.0 + number / 1000 for number in range(1000)]
    merged = [coalesced(moment, 15.0) for moment in moments]
    assert len(set(merged)) <= 6
    assert all(
        0 <= after - before <= 15 / 64 for before, after in zip(moments, merged, strict=True)
    )


@pytest.mark.parametrize("interval", [0.0, inf])
def test_without_an_interval_a_deadline_stays_as_it_is(interval: float) -> None:
    assert coalesced(5.3, interval) == 5.3


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_after_a_blocked_loop_pending_data_is_read_before_deadlines_are_handled(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    order: list[str] = []

    class Peer:
        next_deadline = inf
        closed = False

        def on_deadline(self, now: float) -> float:
            order.append("deadline")
            return inf

    async def main() -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        loop = asyncio.get_running_loop()
        received = loop.create_task(loop.sock_recv(reader, 10))
        received.add_done_callback(lambda _: order.append("data"))
        timer = DeadlineTimer(loop)
        timer.schedule(Peer(), monotonic() + 0.05)
        await asyncio.sleep(0)
        writer.send(b"in time")
        time.sleep(0.5)  # noqa: ASYNC251 (blocks the loop on purpose)
        await asyncio.sleep(0.3)
        timer.stop()
        reader.close()
        writer.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    assert order == ["data", "deadline"]
