"""`RedisReplay` on a real Redis server: stored data, which process runs a source, and outages.

Each test runs two or three stores in one process, in place of several processes, under asyncio and
under uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from support.asgi_calls import Call
from support.asgi_replay import data_of, events_with_ids, reconnect, run_on, wait_for_events
from support.eventually import WAIT_S
from support.live import skip_or_fail
from support.redis_server import paused, redis_url, start_redis
from undam.asgi import EventStream, StreamBroken
from undam.asgi.redis import RedisReplay
from undam.errors import UsageError
from undam.lab.proxies import Missing, RunningProxy

NUMBERS = [str(number) for number in range(1000)]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningProxy]:
    try:
        started = start_redis()
    except Missing as missing:
        skip_or_fail(missing)
    with started:
        yield started


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on asyncio and on uvloop."""

    @functools.wraps(test)
    def run(*, loop: str, **fixtures: Any) -> None:
        run_on(loop, test(**fixtures))

    signature = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY, annotation=str)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), loop], return_annotation=None
    )
    parametrized: Callable[..., None] = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])(run)
    return parametrized


@pytest.fixture
def key() -> str:
    """Return a stream key that no other test uses."""
    return f"key-{time.monotonic_ns()}"


class Relay:
    """TCP relay to Redis that tests can interrupt."""

    def __init__(self, server: RunningProxy) -> None:
        self._port = int(server.url.rpartition(":")[2])
        self._up = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        self._up = False
        for writer in list(self._writers):
            writer.transport.abort()

    def restore(self) -> None:
        self._up = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            if self._up:
                inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
                self._writers.add(outer)
                await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


class Source:
    """Source that yields numbers and counts how often it was started and closed.

    Args:
        count: number of events.
        gap: seconds before each event.
    """

    def __init__(self, count: int, gap: float = 0.002) -> None:
        self.count, self.gap = count, gap
        self.started = self.closed = self.yielded = 0
        self.due_at: dict[str, float] = {}

    def __call__(self) -> AsyncIterator[str]:
        return self.from_(0)

    async def from_(self, first: int) -> AsyncIterator[str]:
        self.started += 1
        try:
            for number in range(first, self.count):
                if self.gap:
                    await asyncio.sleep(self.gap)
                self.yielded += 1
                self.due_at[str(number)] = time.monotonic()
                yield str(number)
        finally:
            self.closed += 1


def _stream(store: RedisReplay, source: Source, key: str, *, resumable: bool = True) -> EventStream:
    return EventStream(
        source, replay=store, replay_key=key, source_from=source.from_ if resumable else None
    )


@contextlib.asynccontextmanager
async def _stores(url: str, count: int = 2, **options: Any) -> AsyncIterator[list[RedisReplay]]:
    options = {"lease_s": 0.6, "linger_s": 20.0, **options}
    stores = [RedisReplay(url, **options) for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.aclose()


async def _keys(url: str, key: str) -> list[Any]:
    async with Redis.from_url(url) as client:
        return list(await client.keys(f"undam:{{{key}}}*"))


async def _until_empty(query: Callable[[], Awaitable[Sequence[Any]]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while await query():  # noqa: ASYNC110 (Redis does not notify)
            await asyncio.sleep(0.02)


def _messages(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if word in one.getMessage()]


def _outages(caplog: pytest.LogCaptureFixture) -> tuple[int, int]:
    """Return how often the start of an outage and the end of an outage were logged."""
    starts = _messages(caplog, "continue without Redis")
    return len(starts), len(_messages(caplog, "Redis is reachable again"))


async def _read_in_both(
    one: RedisReplay, two: RedisReplay, source: Source, key: str, *, resumable: bool = True
) -> tuple[Call, Call, list[asyncio.Task[None]]]:
    """Start a stream in the first store, and then read the stream in the second one."""
    calls, tasks = (Call(), Call()), list[asyncio.Task[None]]()
    for store, call in zip((one, two), calls, strict=True):
        tasks.append(call.start(_stream(store, source, key, resumable=resumable)))
        await wait_for_events(call, 5)
    return *calls, tasks


@on_both_loops
async def test_concurrent_requests_start_the_source_once(key: str, server: RunningProxy) -> None:
    async with _stores(redis_url(server), 3) as stores:
        source = Source(50)
        calls = [Call() for _ in range(12)]
        tasks = [
            call.start(_stream(stores[number % 3], source, key))
            for number, call in enumerate(calls)
        ]
        await asyncio.gather(*tasks)
        assert source.started == source.closed == 1
        assert all(data_of(call) == NUMBERS[:50] for call in calls)
        assert len({call.body for call in calls}) == 1


@on_both_loops
async def test_a_source_that_never_suspends_is_stored_completely(
    key: str, server: RunningProxy
) -> None:
    async with _stores(redis_url(server)) as stores:
        source = Source(1000, 0)
        calls = [Call(), Call()]
        await asyncio.gather(
            *(call.start(_stream(stores[i], source, key)) for i, call in enumerate(calls))
        )
        assert [data_of(call) for call in calls] == [NUMBERS, NUMBERS]


@on_both_loops
async def test_any_process_sends_missed_events(key: str, server: RunningProxy) -> None:
    async with _stores(redis_url(server), 3) as stores:
        source = Source(60)
        seen: list[tuple[str, str]] = []
        for number in range(12):
            call = reconnect(seen[-1][0]) if seen else Call()
            task = call.start(_stream(stores[number % 3], source, key))
            await wait_for_events(call, 5)
            call.disconnected.set()
            await task
            seen += events_with_ids(call.body)
            if len(seen) >= 55:
                break
        last = await reconnect(seen[-1][0]).serve(_stream(stores[0], source, key))
        seen += events_with_ids(last.body)
        assert [data for _, data in seen] == NUMBERS[:60]
        assert source.started == 1
        for store in stores:
            done = await reconnect(seen[-1][0]).serve(_stream(store, source, key))
            assert done.status == 204


@on_both_loops
async def test_events_trimmed_by_redis_are_a_gap_in_every_process(
    key: str, server: RunningProxy
) -> None:
    url = redis_url(server)
    async with _stores(url, 2, max_events=128) as (one, two):
        source = Source(600, 0)
        first = await Call().serve(_stream(one, source, key))
        ident = events_with_ids(first.body)[0][0]
        for store in (one, two):
            late = await reconnect(ident).serve(_stream(store, source, key))
            assert late.body.count(b"event: gap\n") == 1
            assert data_of(late) == NUMBERS[472:600]
            seqs = [ident.partition(":")[2] for ident, _ in events_with_ids(late.body)]
            assert seqs == [str(number) for number in range(473, 601)]
        async with Redis.from_url(url) as client:
            # Redis trims only whole nodes; by default, a node has 100 entries.
            assert 128 <= await client.xlen(f"undam:{{{key}}}:events") < 128 + 64 + 2 * 100


@on_both_loops
async def test_an_id_of_another_stream_does_not_start_the_source(
    key: str, server: RunningProxy
) -> None:
    async with _stores(redis_url(server)) as (one, two):
        source = Source(3)
        other = await Call().serve(_stream(one, source, key + "other"))
        ident = events_with_ids(other.body)[0][0]
        assert (await reconnect(ident).serve(_stream(two, source, key))).status == 204
        assert source.started == 1
        await Call().serve(_stream(one, source, key))
        for hostile in (ident, b"x" * 10_000, b"a\0b", b"\xff", "\U0001f680".encode()):
            call = await reconnect(hostile).serve(_stream(two, source, key))
            assert call.body.count(b"event: gap\n") == 1
            assert data_of(call) == NUMBERS[:3]


@pytest.mark.parametrize("key", ["}{", "a b\r\nc", "\0", "\U0001f680", "\ud800", "k" * 10_000, "*"])
@on_both_loops
async def test_any_text_is_a_valid_key(server: RunningProxy, key: str) -> None:
    async with _stores(redis_url(server), prefix=f"u{time.monotonic_ns()}:") as stores:
        for store in stores:
            call = await Call().serve(_stream(store, source := Source(3), key))
            assert data_of(call) == NUMBERS[:3]
        assert source.started == 0
        assert (await Call().serve(_stream(stores[0], source, key + "x"))).complete


@on_both_loops
async def test_a_reader_elsewhere_keeps_the_source_running(key: str, server: RunningProxy) -> None:
    url = redis_url(server)
    async with _stores(url, 2, linger_s=0.6) as (one, two):
        source = Source(1000, 0.01)
        here, there, tasks = await _read_in_both(one, two, source, key)
        here.disconnected.set()
        await asyncio.sleep(1.8)  # This is three times the linger time.
        assert source.closed == 0
        there.disconnected.set()
        await asyncio.gather(*tasks)
        assert source.closed == 0, "the source continues for the linger time"
        await there.until(lambda: source.closed)
        assert source.yielded < 1000
        await there.until(lambda: len(one) == len(two) == 0)
        await _until_empty(lambda: _keys(url, key))


@on_both_loops
async def test_nothing_is_left_in_redis_or_memory_after_the_linger_time(
    server: RunningProxy,
) -> None:
    url = redis_url(server)
    async with Redis.from_url(url) as client:
        connections = len(await client.client_list())
        mark = f"left-{time.monotonic_ns()}"
        async with _stores(url, 2, linger_s=0.4, lease_s=0.3) as (one, two):
            for number in range(6):
                key = f"{mark}-{number}"
                source = Source(20)
                calls = [Call(), Call()]
                tasks = [calls[0].start(_stream(one, source, key))]
                await wait_for_events(calls[0], 2)
                tasks.append(calls[1].start(_stream(two, source, key)))
                if number % 2:
                    await wait_for_events(calls[1], 3)
                    for call in calls:
                        call.disconnected.set()
                await asyncio.gather(*tasks)
            assert len(one) > 0
            await calls[0].until(lambda: len(one) == len(two) == 0)
            assert one.readers == two.readers == 0
            await _until_empty(lambda: client.keys(f"undam:{{{mark}*"))
            assert one._tasks == two._tasks == set()

        async def new_connections() -> list[Any]:
            return list(await client.client_list())[connections:]

        await _until_empty(new_connections)


@on_both_loops
async def test_a_given_client_stays_open_and_may_decode_responses(server: RunningProxy) -> None:
    for options in ({}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3}):
        async with Redis.from_url(redis_url(server), **options) as client:
            key = f"given-{time.monotonic_ns()}"
            one, two = RedisReplay(client), RedisReplay(client)
            source = Source(5)
            for store in (one, two):
                assert data_of(await Call().serve(_stream(store, source, key))) == NUMBERS[:5]
            assert source.started == 1
            await one.aclose()
            await two.aclose()
            assert await client.ping()


@on_both_loops
async def test_without_redis_a_stream_can_only_be_resumed_in_its_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")
    async with _stores("redis://127.0.0.1:1") as (one, two):
        source = Source(30)
        calls = [Call(), Call()]
        tasks = [call.start(_stream(one, source, "k")) for call in calls]
        await wait_for_events(calls[1], 5)
        calls[1].disconnected.set()
        await asyncio.gather(*tasks)
        assert data_of(calls[0]) == NUMBERS[:30]
        assert calls[0].complete
        assert source.started == 1
        ident = events_with_ids(calls[1].body)[-1][0]
        again = await reconnect(ident).serve(_stream(one, source, "k"))
        assert data_of(calls[1]) + data_of(again) == NUMBERS[:30]
        # A process that does not know the stream cannot report that the stream has ended.
        elsewhere = reconnect(ident)
        with pytest.raises(StreamBroken):
            await elsewhere.serve(_stream(two, source, "k"))
        assert elsewhere.status == 200
        assert not elsewhere.complete
        assert b"event: error\n" in elsewhere.body
        assert source.started == 1
    assert _outages(caplog) == (2, 0)  # One message is logged per store.
    assert not any(record.exc_info for record in caplog.records)


@on_both_loops
async def test_an_outage_delays_no_event_and_is_made_up_afterwards(
    key: str, server: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")
    async with Relay(server) as relay, _stores(relay.url) as (one, two):
        source = Source(300, 0.01)
        call = Call()
        task = call.start(_stream(one, source, key))
        await wait_for_events(call, 20)
        relay.cut()
        await wait_for_events(call, 120)
        relay.restore()
        await task
        assert data_of(call) == NUMBERS[:300]
        assert call.complete
        assert source.started == 1
        later = await Call().serve(_stream(two, source, key))
        assert later.body == call.body
        assert source.started == 1
    assert _outages(caplog) == (1, 1)


@on_both_loops
async def test_after_data_loss_redis_receives_the_buffered_events(
    key: str,
    server: RunningProxy,
) -> None:
    url = redis_url(server)
    async with _stores(url) as (one, two):
        source = Source(100, 0.01)
        call = Call()
        task = call.start(_stream(one, source, key))
        await wait_for_events(call, 30)
        async with Redis.from_url(url) as client:
            await client.delete(*await _keys(url, key))
        await task
        assert data_of(call) == NUMBERS[:100]
        late = await Call().serve(_stream(two, source, key))
        received = data_of(late)
        assert 10 < len(received) < 100
        assert received == NUMBERS[100 - len(received) : 100]
        assert b"event: gap\n" in late.body
        assert source.started == 1


@pytest.mark.parametrize(
    ("lease_s", "attempts"), [(5, 1), (0.1, 2)], ids=["lease holds", "lease may be another's"]
)
@on_both_loops
async def test_an_unresponsive_redis_delays_events_by_its_time_limit_at_most(
    key: str, server: RunningProxy, caplog: pytest.LogCaptureFixture, lease_s: float, attempts: int
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")
    limit_s = 0.15
    async with _stores(redis_url(server), timeout_s=limit_s, lease_s=lease_s) as (store, other):
        source = Source(220, 0.02)
        received_at: dict[str, float] = {}

        class RecordingCall(Call):
            async def send(self, message: dict[str, Any]) -> None:
                await super().send(message)
                for _, data in events_with_ids(message.get("body", b"")):
                    received_at[data] = time.monotonic()

        call = RecordingCall()
        task = call.start(_stream(store, source, key))
        await wait_for_events(call, 10)
        with paused(server.pid):
            paused_at = time.monotonic()
            await wait_for_events(call, 60)
            outage_s = time.monotonic() - paused_at
        await task
        assert data_of(call) == NUMBERS[:220]
        delays = sorted(received_at[number] - source.due_at[number] for number in NUMBERS[:220])
        # Only events that were in flight at the start of the outage were delayed, each by the time
        # limits of its attempts.
        assert attempts * limit_s * 0.8 < delays[-1] < outage_s
        assert delays[-12 * attempts] < limit_s
        # Redis executed the timed-out commands later, but no event was stored twice.
        late = await Call().serve(_stream(other, source, key))
        assert late.body == call.body
        assert source.started == 1
    assert _outages(caplog) == (1, 1)


@on_both_loops
async def test_a_process_that_lost_its_lease_stops_writing(key: str, server: RunningProxy) -> None:
    async with (
        Relay(server) as relay,
        _stores(relay.url, 1) as (one,),
        _stores(redis_url(server), 1) as (two,),
    ):
        source = Source(400, 0.01)
        here, there, tasks = await _read_in_both(one, two, source, key)
        relay.cut()
        await there.until(lambda: source.started == 2)
        relay.restore()
        with pytest.raises(StreamBroken):
            await tasks[0]
        assert source.closed == 1
        await tasks[1]
        assert data_of(there) == NUMBERS[:400]
        assert there.complete
        seen = events_with_ids(here.body)
        assert seen == events_with_ids(there.body)[: len(seen)]
        # A reader can also reconnect to the process that has lost its lease.
        again = await reconnect(seen[-1][0]).serve(_stream(one, source, key))
        assert data_of(here) + data_of(again) == NUMBERS[:400]


@on_both_loops
async def test_followers_are_cut_in_a_long_outage(key: str, server: RunningProxy) -> None:
    async with (
        Relay(server) as relay,
        _stores(redis_url(server), 1) as (one,),
        _stores(relay.url, 1) as (two,),
    ):
        source = Source(1000, 0.01)
        here, there, tasks = await _read_in_both(one, two, source, key)
        relay.cut()
        with pytest.raises(StreamBroken):
            await tasks[1]
        assert not there.complete
        assert b"event: error\n" in there.body
        ident = events_with_ids(there.body)[-1][0]
        relay.restore()
        back = reconnect(ident)
        tasks.append(back.start(_stream(two, source, key)))
        await wait_for_events(back, 10)
        seen = data_of(there) + data_of(back)
        assert seen == NUMBERS[: len(seen)]
        here.disconnected.set()
        back.disconnected.set()
        await tasks[0]
        await tasks[2]


@on_both_loops
async def test_closing_a_store_releases_its_lease(
    key: str, server: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")
    async with _stores(redis_url(server), 2, lease_s=3) as (one, two):
        source = Source(100, 0.01)
        _, there, tasks = await _read_in_both(one, two, source, key)
        await one.aclose()
        assert source.closed == 1
        with pytest.raises(StreamBroken):
            await tasks[0]
        await tasks[1]
        assert data_of(there) == NUMBERS[:100]
        assert there.complete
        assert (source.started, source.closed) == (2, 2)
    assert len(_messages(caplog, "continuing it here")) == 1


@on_both_loops
async def test_closing_stops_sources_while_they_write(server: RunningProxy) -> None:
    # An application may pass a Redis client that has a timeout for each write.
    async with Redis.from_url(redis_url(server), socket_timeout=5) as client:
        for number in range(60):
            store, source = RedisReplay(client), Source(1000)
            call = Call()
            task = call.start(_stream(store, source, f"stop-{time.monotonic_ns()}"))
            await wait_for_events(call, 1)
            await asyncio.sleep(number / 30_000)  # This also stops the store during a write.
            # A store that waits for its sources to end would take 2 s.
            async with asyncio.timeout(1):
                await store.aclose()
            assert source.closed == 1
            with pytest.raises(StreamBroken):
                await task


@on_both_loops
async def test_the_socket_timeout_of_a_client_is_not_an_outage(
    key: str, server: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")
    async with Redis.from_url(redis_url(server), socket_timeout=0.8) as client:
        one, two = (RedisReplay(client, lease_s=3) for _ in range(2))
        source = Source(3, 1.2)
        calls = [Call(), Call()]
        tasks = [calls[0].start(_stream(one, source, key))]
        await wait_for_events(calls[0], 1)
        tasks.append(calls[1].start(_stream(two, source, key)))
        await asyncio.gather(*tasks)
        assert [data_of(call) for call in calls] == [NUMBERS[:3]] * 2
        await one.aclose()
        await two.aclose()
    assert caplog.records == []


@on_both_loops
async def test_a_source_is_taken_over_before_its_first_event(
    key: str, server: RunningProxy
) -> None:
    async with _stores(redis_url(server), 2) as (one, two):
        silent, source = Source(10, 60), Source(10)
        here, there, more = Call(), Call(), Call()
        tasks = [here.start(_stream(one, silent, key))]
        await here.until(lambda: silent.started)
        # The request that gave the second store its source ends before the takeover.
        tasks.append(there.start(_stream(two, source, key)))
        await there.until(lambda: two.readers)
        tasks.append(more.start(_stream(two, source, key)))
        await more.until(lambda: two.readers == 2)
        there.disconnected.set()
        await tasks[1]
        await one.aclose()
        await tasks[2]
        assert data_of(more) == NUMBERS[:10]
        assert more.complete
        with pytest.raises(StreamBroken):
            await tasks[0]


@on_both_loops
async def test_closing_a_store_ends_streams_without_source_from(
    key: str, server: RunningProxy
) -> None:
    async with _stores(redis_url(server), 2, lease_s=3) as (one, two):
        source = Source(1000, 0.01)
        _, there, tasks = await _read_in_both(one, two, source, key, resumable=False)
        await one.aclose()
        for task in tasks:
            with pytest.raises(StreamBroken):
                await task
        late = Call()
        with pytest.raises(StreamBroken):
            await late.serve(_stream(two, source, key, resumable=False))
        assert data_of(late) == data_of(there)
        assert not late.complete
        assert source.started == 1


@on_both_loops
async def test_an_error_of_the_source_reaches_every_process_once(
    key: str, server: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "undam.asgi")

    async def source() -> AsyncIterator[str]:
        for number in range(5):
            yield str(number)
            await asyncio.sleep(0.005)
        raise RuntimeError("secret")

    async with _stores(redis_url(server), 3) as stores:
        calls = [Call() for _ in stores]
        streams = [EventStream(source, replay=store, replay_key=key) for store in stores]
        tasks = [call.start(stream) for call, stream in zip(calls, streams, strict=True)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in results] == [StreamBroken] * 3
        for call, stream in zip(calls, streams, strict=True):
            assert call.body == calls[0].body
            assert call.body.count(b"event: error\n") == 1
            assert b"secret" not in call.body
            ident = call.body.rpartition(b"id: ")[2].split(b"\n")[0]
            assert (await reconnect(ident).serve(stream)).status == 204
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@on_both_loops
async def test_a_disconnect_while_the_stream_is_opened_releases_the_lease(
    key: str,
    server: RunningProxy,
) -> None:
    async with _stores(redis_url(server), 2, lease_s=20, timeout_s=3) as (one, two):
        source = Source(10)
        await Call().serve(_stream(one, Source(1), key + "warm"))
        call = Call()
        with paused(server.pid):
            task = call.start(_stream(one, source, key))
            await asyncio.sleep(0.1)  # The command has been sent.
            call.disconnected.set()
            await task
        assert source.started == 0
        while one._tasks:
            await asyncio.wait(one._tasks)
        # The lease lasts 20 s. If it had not been released, the second store would wait until it
        # expires.
        async with asyncio.timeout(10):
            assert data_of(await Call().serve(_stream(two, source, key))) == NUMBERS[:10]


@on_both_loops
async def test_a_stream_deleted_during_an_outage_of_its_producer_is_lost(
    key: str,
    server: RunningProxy,
) -> None:
    url = redis_url(server)
    async with (
        Relay(server) as relay,
        _stores(relay.url, 1) as (one,),
        _stores(url, 1) as (two,),
    ):
        source = Source(300, 0.01)
        here, _, tasks = await _read_in_both(one, two, source, key)
        relay.cut()
        async with Redis.from_url(url) as client:
            await client.delete(*await _keys(url, key))
        with pytest.raises(StreamBroken):
            await tasks[1]
        assert source.started == 1
        await tasks[0]
        assert data_of(here) == NUMBERS[:300]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lease_s": 0}, "lease_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"linger_s": 0}, "linger_s"),
        ({"max_events": 0}, "max_events"),
        ({"max_events": 100}, "max_events"),
        ({"on_gap": "x"}, "on_gap"),
    ],
)
def test_an_invalid_bound_is_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RedisReplay("redis://127.0.0.1:1", **options)
