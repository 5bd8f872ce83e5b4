"""What nobody waits for: when it is done, and that all of it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

from undam.aio.deferred import DeferredQueue


def test_what_came_meanwhile_is_read_before_each_piece() -> None:
    done: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = DeferredQueue(loop)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)

            def read() -> None:
                done.append(ours.recv(1).decode())

            def work(name: str) -> Callable[[], None]:
                def piece() -> None:
                    done.append(name)
                    theirs.send(b"r")

                return piece

            loop.add_reader(ours, read)
            # Both are ready before either piece is done; each piece is followed by a read.
            theirs.send(b"r")
            queue.put(work("one"))
            queue.put(work("two"))
            await asyncio.sleep(0.05)
            loop.remove_reader(ours)

    # The standard loop reads before the first piece, too, but then only after the next one.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert done == ["r", "one", "r", "two", "r"]


def test_it_is_not_done_while_a_client_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.aio.deferred._DELAY_S", 0.3)

    async def main() -> tuple[list[int], list[int]]:
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[int]()
        queue.put(partial(done.append, 1))
        await asyncio.sleep(0.02)
        early = list(done)
        await asyncio.sleep(0.5)
        return early, done

    assert asyncio.run(main()) == ([], [1])


def test_many_take_fewer_turns_than_they_are() -> None:
    turns = 0

    async def main() -> list[int]:
        nonlocal turns
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[int]()
        for number in range(200):
            queue.put(partial(done.append, number))
        while len(done) < 200:
            turns += bool(done)
            await asyncio.sleep(0)
        return done

    assert asyncio.run(main()) == list(range(200))
    assert 16 < turns < 70


def test_now_does_all_and_nothing_is_done_twice() -> None:
    async def main() -> list[str]:
        queue, done = DeferredQueue(asyncio.get_running_loop()), list[str]()
        queue.put(lambda: done.append("one"))
        queue.put(lambda: done.append("two"))
        queue.flush()
        assert done == ["one", "two"]
        await asyncio.sleep(0.01)
        queue.put(lambda: done.append("three"))
        await asyncio.sleep(0.01)
        return done

    assert asyncio.run(main()) == ["one", "two", "three"]


def test_a_piece_that_fails_keeps_no_other_from_being_done() -> None:
    told: list[str] = []

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        queue, done = DeferredQueue(loop), list[str]()

        def fail() -> None:
            raise ValueError("this one")

        queue.put(fail)
        queue.put(lambda: done.append("after"))
        await asyncio.sleep(0.01)
        return done

    assert asyncio.run(main()) == ["after"]
    assert told == ["this one"]
