"""Streams in a real Redis server: processes are killed, and readers reconnect to others."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from support.asgi_replay import events_with_ids
from support.asgi_server_processes import (
    UVICORN_ASYNCIO,
    UVICORN_UVLOOP,
    ResponseReader,
    RunningServer,
    serving,
)
from support.live import skip_or_fail
from support.redis_server import paused, redis_url, start_redis
from undam.lab.proxies import Missing, RunningProxy

APP = "support.replay_app:app"
LEASE_S = 0.6
COUNT = 200

Serve = Callable[[], RunningServer]


@pytest.fixture(scope="module")
def redis() -> Iterator[RunningProxy]:
    try:
        server = start_redis()
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        yield server


@pytest.fixture
def serve(redis: RunningProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start another process for the same application."""
    monkeypatch.setenv("TEST_REDIS", redis_url(redis))
    monkeypatch.setenv("TEST_LEASE_S", str(LEASE_S))
    with contextlib.ExitStack() as running:
        servers = iter([UVICORN_UVLOOP, UVICORN_ASYNCIO, UVICORN_UVLOOP])
        yield lambda: running.enter_context(serving(next(servers), APP))


def _events(*readings: ResponseReader) -> list[tuple[str, str]]:
    """Return (ID, data) for every event that one reader received, in order of arrival."""
    return [event for reading in readings for event in events_with_ids(reading.body)]


def _read(reading: ResponseReader, count: int) -> ResponseReader:
    return reading.until(
        lambda: b"\r\n\r\n" in reading.raw and len(events_with_ids(reading.body)) >= count
    )


@pytest.fixture
def key() -> str:
    """Return a stream key that is new in every run, because Redis keeps data from earlier runs."""
    return f"stream-{time.monotonic_ns()}"


def _path(key: str, *, after: ResponseReader | None = None, more: str = "") -> str:
    last = "" if after is None else f"&last_event_id={_events(after)[-1][0]}"
    return f"/{key}?count={COUNT}{more}{last}"


def _kill(server: RunningServer) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(10)


def _are_whole(events: list[tuple[str, str]]) -> None:
    numbers = [int(data.split()[0]) for _, data in events]
    assert numbers == list(range(COUNT))
    seqs = [int(ident.partition(":")[2]) for ident, _ in events]
    assert seqs == list(range(1, COUNT + 1))
    assert len({ident.partition(":")[0] for ident, _ in events}) == 1


def _writers(events: list[tuple[str, str]]) -> list[int]:
    """Return the IDs of the processes that ran the source, in chronological order."""
    pids = [int(re.split(" of ", data)[1]) for _, data in events]
    return list(dict.fromkeys(pids))


def test_killing_the_process_that_serves_and_produces(serve: Serve, key: str) -> None:
    one, two = serve(), serve()
    with one.read(_path(key)) as first:
        _read(first, 50)
        _kill(one)
        first.until_end()
        assert not first.complete
        with two.read(_path(key, after=first)) as second:
            second.until_end()
            assert second.complete
            events = _events(first, second)
    _are_whole(events)
    assert _writers(events) == [one.process.pid, two.process.pid]


def test_killing_only_the_serving_process(serve: Serve, key: str) -> None:
    one, two, three = serve(), serve(), serve()
    with one.read(_path(key)) as producing:
        _read(producing, 5)
        with two.read(_path(key)) as first:
            _read(first, 60)
            _kill(two)
            first.until_end()
            assert not first.complete
            with three.read(_path(key, after=first)) as second:
                events = _events(first, second.until_end())
                assert second.complete
        producing.until_end()
        assert producing.complete
        assert _events(producing) == events
    _are_whole(events)
    assert _writers(events) == [one.process.pid]


def test_killing_the_producing_process_does_not_affect_other_readers(
    serve: Serve, key: str
) -> None:
    one, two, three = serve(), serve(), serve()
    with one.read(_path(key)) as producing:
        _read(producing, 5)
        with two.read(_path(key)) as second, three.read(_path(key)) as third:
            _read(second, 20)
            _read(third, 20)
            _kill(one)
            second.until_end()
            third.until_end()
            assert second.complete
            assert third.complete
            assert _events(second) == _events(third)
            events = _events(second)
    _are_whole(events)
    assert _writers(events)[0] == one.process.pid
    assert len(_writers(events)) == 2


def test_without_source_from_readers_get_an_error_and_an_abnormal_end(
    serve: Serve, key: str
) -> None:
    one, two = serve(), serve()
    path = _path(key, more="&go_on=0")
    with one.read(path) as producing, contextlib.ExitStack() as others:
        _read(producing, 1)  # The process that runs the source is now known.
        reading = others.enter_context(two.read(path))
        _read(reading, 20)
        _kill(one)
        reading.until_end()
        assert not reading.complete
        assert reading.body.count(b"event: error\n") == 1
        seen = _events(reading)
        # A later reader receives the stored events and the same error.
        with two.read(path) as late, two.read(_path(key, after=reading)) as again:
            for reader in (late.until_end(), again.until_end()):
                assert not reader.complete
                assert reader.body.count(b"event: error\n") == 1
            assert _events(late) == seen
            assert _events(again) == []
    numbers = [int(data.split()[0]) for _, data in seen]
    assert numbers == list(range(len(seen)))
    assert 20 <= len(seen) < COUNT


def test_a_process_whose_lease_expired_stops_writing(
    serve: Serve, redis: RunningProxy, key: str
) -> None:
    one, two = serve(), serve()
    with one.read(_path(key)) as producing, contextlib.ExitStack() as others:
        _read(producing, 1)  # The process that runs the source is now known.
        reading = others.enter_context(two.read(_path(key)))
        _read(reading, 20)
        with contextlib.ExitStack() as still:
            with paused(redis.pid):
                # The process is waiting for a reply, which arrives while the process is suspended.
                time.sleep(0.1)
                still.enter_context(paused(one.process.pid))
            reading.until(lambda: len(_writers(_events(reading))) == 2)
        reading.until_end()
        assert reading.complete
        producing.until_end()
        events, before = _events(reading), _events(producing)
        assert before == events[: len(before)]
        assert len(before) < COUNT
        assert not producing.complete
        with one.read(_path(key, after=producing)) as again:
            assert before + _events(again.until_end()) == events
            assert again.complete
    _are_whole(events)


def test_readers_of_a_suspended_process_miss_nothing(serve: Serve, key: str) -> None:
    one, two = serve(), serve()
    with one.read(_path(key)) as producing:
        _read(producing, 1)
        with two.read(_path(key)) as reading:
            _read(reading, 5)
            with paused(two.process.pid):
                _read(producing, 120)
            assert _events(reading.until_end()) == _events(producing.until_end())
            assert reading.complete
            _are_whole(_events(reading))


def test_an_orderly_stop_releases_the_lease(
    serve: Serve, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease_s = 15
    monkeypatch.setenv("TEST_LEASE_S", str(lease_s))
    one, two = serve(), serve()
    with one.read(_path(key)) as first:
        _read(first, 30)
        one.stop()
        first.until_end()
        assert not first.complete
        began = time.monotonic()
        with two.read(_path(key, after=first)) as second:
            events = _events(first, second.until_end())
            assert second.complete
    assert time.monotonic() - began < lease_s
    _are_whole(events)
    assert _writers(events) == [one.process.pid, two.process.pid]
