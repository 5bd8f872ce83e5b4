"""Answers in Redis with two processes: kill, stop, list, owners and broadcast."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.asgi_replay import events_with_ids
from support.asgi_server_processes import (
    UVICORN_ASYNCIO,
    UVICORN_UVLOOP,
    ResponseReader,
    RunningServer,
    serving,
)
from support.eventually import eventually
from support.live import skip_or_fail
from support.redis_server import redis_url, start_redis
from undam.lab.proxies import Missing

pytestmark = [pytest.mark.live, pytest.mark.slow]

APP = "support.answers_app:app"
LEASE_S = 0.6
KILLS = int(os.environ.get("UNDAM_KILLS", "3"))
"""Number of processes to kill; 20 with ``UNDAM_KILLS=20``."""

Serve = Callable[[], RunningServer]


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    try:
        server = start_redis()
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        yield redis_url(server)


@pytest.fixture
def serve(redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("TEST_REDIS", redis)
    monkeypatch.setenv("TEST_LEASE_S", str(LEASE_S))
    with contextlib.ExitStack() as running:
        count = iter(range(1000))

        def start() -> RunningServer:
            kind = UVICORN_UVLOOP if next(count) % 2 else UVICORN_ASYNCIO
            return running.enter_context(serving(kind, APP))

        yield start


def _json(server: RunningServer, path: str, method: str = "GET") -> Any:
    with server.read(path, method=method) as reading:
        reading.until(lambda: b"\r\n\r\n" in reading.raw and _length(reading) == 0)
        return json.loads(reading.raw.split(b"\r\n\r\n", 1)[1])


def _length(reading: ResponseReader) -> int:
    head, _, body = reading.raw.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    return int(found[1]) - len(body) if found else 0


def _begin(server: RunningServer, query: str = "") -> tuple[ResponseReader, str]:
    reading = server.read(f"/?{query}", method="POST")
    reading.until(lambda: len(events_with_ids(reading.body if b"\r\n\r\n" in reading.raw else b"")))
    found = re.search(rb"answer-key: (\S+)", reading.raw)
    assert found
    return reading, found[1].decode()


def _until(reading: ResponseReader, count: int) -> ResponseReader:
    return reading.until(
        lambda: b"\r\n\r\n" in reading.raw and len(events_with_ids(reading.body)) >= count
    )


def test_readers_at_another_process_see_each_event_once_when_the_source_is_killed(
    serve: Serve,
) -> None:
    stays = serve()
    for number in range(KILLS):
        dies = serve()
        name = f"name=kill{number}&count=150"
        first, key = _begin(dies, name)
        second = stays.read(f"/{key}?{name}")
        _until(second, 20)
        os.killpg(dies.process.pid, signal.SIGKILL)
        dies.process.wait(10)
        second.until_end()
        assert second.complete
        events = events_with_ids(second.body)
        assert [data for _, data in events] == [str(one) for one in range(150)]
        assert len({ident for ident, _ in events}) == 150
        # The reader of the killed process reconnects to the other process.
        first.until_end()
        seen = events_with_ids(first.body)
        with stays.read(f"/{key}?{name}&last_event_id={seen[-1][0]}") as resumed:
            resumed.until_end()
            again = events_with_ids(resumed.body)
        assert [data for _, data in seen + again] == [str(one) for one in range(150)]
        first.sock.close()
        second.sock.close()
        assert _json(stays, "/running") == []


def test_stop_at_another_process_ends_readers_and_source(serve: Serve) -> None:
    one, other = serve(), serve()
    first, key = _begin(one, "count=100000&name=long&as=ann")
    second = other.read(f"/{key}?as=ann&count=100000&name=long")
    _until(second, 5)
    assert _json(one, "/running") == ["long"]
    assert _json(other, f"/{key}?as=bob", "DELETE") is False
    assert _json(other, "/list?as=ann") == [[key, "running"]]
    assert _json(other, f"/{key}?as=ann", "DELETE") is True
    for reading in (first, second):
        reading.until_end()
        assert reading.complete
        assert reading.body.endswith(b"event: stopped\ndata: {}\n\n")
        reading.sock.close()
    eventually(lambda: _json(one, "/running") == [])
    assert _json(other, "/running") == []
    assert _json(one, "/list?as=ann") == [[key, "stopped"]]
    assert _json(one, "/list?as=bob") == []


def test_another_owner_cannot_read_at_any_process(serve: Serve) -> None:
    one, other = serve(), serve()
    first, key = _begin(one, "as=ann")
    for server in (one, other):
        with server.read(f"/{key}?as=bob") as reading:
            reading.until(lambda reading=reading: b"\r\n\r\n" in reading.raw)
            assert reading.head.startswith(b"http/1.1 404")
    first.sock.close()


def test_publish_reaches_the_readers_of_every_process(serve: Serve) -> None:
    one, other = serve(), serve()
    readings = [one.read("/news"), other.read("/news"), other.read("/news")]
    for reading in readings:
        reading.until(lambda reading=reading: b": open" in reading.raw)
    for number, server in enumerate((one, other, one)):
        _json(server, f"/publish?text=event-{number}")
    for reading in readings:
        _until(reading, 3)
        assert [data for _, data in events_with_ids(reading.body)] == [
            f"event-{number}" for number in range(3)
        ]
    (ident, _), *_ = events_with_ids(readings[0].body)
    with other.read(f"/news?last_event_id={ident}") as back:
        _until(back, 2)
        assert [data for _, data in events_with_ids(back.body)] == ["event-1", "event-2"]
    for reading in readings:
        reading.sock.close()


def test_a_second_question_under_one_key_gets_its_own_answer(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_REDIS", redis)
    monkeypatch.setenv("TEST_LEASE_S", str(LEASE_S))
    with (
        serving(UVICORN_ASYNCIO, "support.replay_app:app") as one,
        serving(UVICORN_UVLOOP, "support.replay_app:app") as other,
    ):
        path = "/conversation?count=120&gap=0.02"
        first = one.read(path, method="POST")
        _until(first, 3)
        with other.read(path, method="POST") as second:
            assert second.until_end().complete
            answer = events_with_ids(second.body)
        assert [data.split()[0] for _, data in answer] == [str(number) for number in range(120)]
        assert first.until_end().complete
        earlier = events_with_ids(first.body)
        assert len(earlier) == 120
        assert {data.split()[-1] for _, data in earlier} != {data.split()[-1] for _, data in answer}
        # Each reader that reconnects continues its own answer, on either process.
        for server in (one, other):
            for events in (earlier, answer):
                with server.read(f"{path}&last_event_id={events[9][0]}", method="POST") as again:
                    again.until_end()
                    assert events_with_ids(again.body) == events[10:]
        # A GET request without an event ID follows the newest answer.
        with one.read(path) as along:
            along.until_end()
            assert events_with_ids(along.body) == answer
        first.sock.close()


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("team:doc?", "team:doc\ud800"),
        ("a\ud83d\ude00", "a\U0001f600"),
        ("a:b", "a%3Ab"),
        ("k" * 300, "k" * 301),
        ("k#" + "0" * 24, "k"),
        ("k", "K"),
    ],
)
def test_different_keys_have_different_names_in_redis(key: str, other: str) -> None:
    from redis.asyncio import Redis  # noqa: PLC0415

    from undam.asgi.replay.redis_log import RedisLog, RedisSettings  # noqa: PLC0415

    client = Redis.from_url("redis://127.0.0.1:1")
    settings = RedisSettings("undam:", 1000, 1000, 1.0)
    names = [
        set(RedisLog(client, settings, one, "t", run)._keys)
        for one in (key, other)
        for run in ("", "topic")
    ]
    # One pointer is stored per key.
    assert len(set().union(*(name for name in names))) == 4 * 4 + 2
    assert all(len(name) < 800 for one in names for name in one)
