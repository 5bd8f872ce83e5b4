"""`RedisReplay` on a real Redis server: what stays in it, who runs a source, and a Redis that is
slow, gone, or back without its memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from support.asgi_calls import Call
from support.asgi_replay import data_of, events_with_ids, reconnect, run_on, wait_for_events
from support.live import skip_or_fail
from support.redis_server import paused, redis_url, start_redis
from undam.asgi import EventStream, StreamBroken
from undam.asgi.redis import RedisReplay
from undam.errors import UsageError
from undam.lab.proxies import Missing, Proxy

NUMBERS = [str(number) for number in range(1000)]


@pytest.fixture(scope="module")
def server() -> Iterator[Proxy]:
    try:
        started = start_redis()
    except Missing as missing:
        skip_or_fail(missing)
    with started:
        yield started


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def main(coroutine: Coroutine[Any, Any, None]) -> None:
        run_on(str(request.param), coroutine)

    return main


Run = Callable[[Coroutine[Any, Any, None]], None]


class Relay:
    """A way to Redis that can be cut."""

    def __init__(self, server: Proxy) -> None:
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

    def mend(self) -> None:
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
    """Counts from where it is told, and how often it was begun and closed."""

    def __init__(self, count: int, gap: float = 0.002) -> None:
        self.count, self.gap = count, gap
        self.begun = self.closed = self.given = 0
        self.due_at: dict[str, float] = {}

    def __call__(self) -> AsyncIterator[str]:
        return self.from_(0)

    async def from_(self, first: int) -> AsyncIterator[str]:
        self.begun += 1
        try:
            for number in range(first, self.count):
                if self.gap:
                    await asyncio.sleep(self.gap)
                self.given += 1
                self.due_at[str(number)] = time.monotonic()
                yield str(number)
        finally:
            self.closed += 1


def _stream(store: RedisReplay, source: Source, key: str, *, go_on: bool = True) -> EventStream:
    return EventStream(
        source, replay=store, replay_key=key, source_from=source.from_ if go_on else None
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


def _messages(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if word in one.getMessage()]


def test_the_source_runs_once_however_many_ask_at_once(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 3) as stores:
            source = Source(50)
            key = f"once-{time.monotonic_ns()}"
            calls = [Call() for _ in range(12)]
            tasks = [
                call.start(_stream(stores[number % 3], source, key))
                for number, call in enumerate(calls)
            ]
            await asyncio.gather(*tasks)
            assert source.begun == source.closed == 1
            assert all(data_of(call) == NUMBERS[:50] for call in calls)
            assert len({call.body for call in calls}) == 1

    run(main())


def test_a_source_that_never_waits_is_kept_whole(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server)) as stores:
            source, key = Source(1000, 0), f"fast-{time.monotonic_ns()}"
            calls = [Call(), Call()]
            await asyncio.gather(
                *(call.start(_stream(stores[i], source, key)) for i, call in enumerate(calls))
            )
            assert [data_of(call) for call in calls] == [NUMBERS, NUMBERS]

    run(main())


def test_what_a_reader_missed_is_given_by_any_process(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 3) as stores:
            source, key = Source(60), f"missed-{time.monotonic_ns()}"
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
            assert source.begun == 1
            for store in stores:
                done = await reconnect(seen[-1][0]).serve(_stream(store, source, key))
                assert done.status == 204

    run(main())


def test_what_redis_no_longer_keeps_is_a_gap_everywhere(server: Proxy, run: Run) -> None:
    async def main() -> None:
        url = redis_url(server)
        async with _stores(url, 2, max_events=128) as (one, two):
            source, key = Source(600, 0), f"gap-{time.monotonic_ns()}"
            first = await Call().serve(_stream(one, source, key))
            ident = events_with_ids(first.body)[0][0]
            for store in (one, two):
                late = await reconnect(ident).serve(_stream(store, source, key))
                assert late.body.count(b"event: gap\n") == 1
                assert data_of(late) == NUMBERS[472:600]
                seqs = [ident.partition(":")[2] for ident, _ in events_with_ids(late.body)]
                assert seqs == [str(number) for number in range(473, 601)]
            async with Redis.from_url(url) as client:
                # Redis trims whole nodes, of a hundred entries by default.
                assert 128 <= await client.xlen(f"undam:{{{key}}}:events") < 128 + 64 + 2 * 100

    run(main())


def test_an_id_of_another_stream_or_nothing_at_all_is_no_way_in(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server)) as (one, two):
            source, key = Source(3), f"a-{time.monotonic_ns()}"
            other = await Call().serve(_stream(one, source, key + "other"))
            ident = events_with_ids(other.body)[0][0]
            assert (await reconnect(ident).serve(_stream(two, source, key))).status == 204
            assert source.begun == 1
            await Call().serve(_stream(one, source, key))
            for hostile in (ident, b"x" * 10_000, b"a\0b", b"\xff", "\U0001f680".encode()):
                call = await reconnect(hostile).serve(_stream(two, source, key))
                assert call.body.count(b"event: gap\n") == 1
                assert data_of(call) == NUMBERS[:3]

    run(main())


@pytest.mark.parametrize("key", ["}{", "a b\r\nc", "\0", "\U0001f680", "\ud800", "k" * 10_000, "*"])
def test_any_text_is_a_key(server: Proxy, run: Run, key: str) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), prefix=f"u{time.monotonic_ns()}:") as stores:
            for store in stores:
                call = await Call().serve(_stream(store, source := Source(3), key))
                assert data_of(call) == NUMBERS[:3]
            assert source.begun == 0
            assert (await Call().serve(_stream(stores[0], source, key + "x"))).complete

    run(main())


def test_a_reader_elsewhere_keeps_the_source_alive_and_nobody_ends_it(
    server: Proxy, run: Run
) -> None:
    async def main() -> None:
        url = redis_url(server)
        async with _stores(url, 2, linger_s=0.6) as (one, two):
            source, key = Source(1000, 0.01), f"linger-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key))]
            await wait_for_events(here, 1)
            tasks.append(there.start(_stream(two, source, key)))
            await wait_for_events(there, 1)
            here.disconnected.set()
            await asyncio.sleep(1.8)  # Three times the linger.
            assert source.closed == 0
            there.disconnected.set()
            left_at = time.monotonic()
            await asyncio.gather(*tasks)
            await there.until(lambda: source.closed)
            assert time.monotonic() - left_at > 0.2
            assert source.given < 1000
            await there.until(lambda: len(one) == len(two) == 0)
            for _ in range(100):
                if not (left := await _keys(url, key)):
                    break
                await asyncio.sleep(0.02)
            assert left == []

    run(main())


def test_nothing_is_left_in_redis_or_here_once_the_linger_is_over(server: Proxy, run: Run) -> None:
    async def main() -> None:
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
                deadline = time.monotonic() + 10
                while await client.keys(f"undam:{{{mark}*"):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                assert one._tasks == two._tasks == set()
            deadline = time.monotonic() + 5
            while len(await client.client_list()) > connections:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)

    run(main())


def test_a_client_that_was_given_stays_open_and_may_decode(server: Proxy, run: Run) -> None:
    async def main() -> None:
        for options in ({}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3}):
            async with Redis.from_url(redis_url(server), **options) as client:
                key = f"given-{time.monotonic_ns()}"
                one, two = RedisReplay(client), RedisReplay(client)
                source = Source(5)
                for store in (one, two):
                    assert data_of(await Call().serve(_stream(store, source, key))) == NUMBERS[:5]
                assert source.begun == 1
                await one.aclose()
                await two.aclose()
                assert await client.ping()

    run(main())


def test_without_redis_a_stream_is_served_and_resumed_here_only(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with _stores("redis://127.0.0.1:1") as (one, two):
            source = Source(30)
            calls = [Call(), Call()]
            tasks = [call.start(_stream(one, source, "k")) for call in calls]
            await wait_for_events(calls[1], 5)
            calls[1].disconnected.set()
            await asyncio.gather(*tasks)
            assert data_of(calls[0]) == NUMBERS[:30]
            assert calls[0].complete
            assert source.begun == 1
            ident = events_with_ids(calls[1].body)[-1][0]
            again = await reconnect(ident).serve(_stream(one, source, "k"))
            assert data_of(calls[1]) + data_of(again) == NUMBERS[:30]
            # A process that knows nothing of it cannot say that it is over.
            elsewhere = reconnect(ident)
            with pytest.raises(StreamBroken):
                await elsewhere.serve(_stream(two, source, "k"))
            assert elsewhere.status == 200
            assert not elsewhere.complete
            assert b"event: error\n" in elsewhere.body
            assert source.begun == 1

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert len(_messages(caplog, "continue without it")) == 2  # once for each store
    assert not any(record.exc_info for record in caplog.records)


def test_a_redis_that_goes_in_mid_stream_holds_nothing_up_and_learns_the_rest_when_it_is_back(
    server: Proxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Relay(server) as relay, _stores(relay.url) as (one, two):
            source, key = Source(300, 0.01), f"goes-{time.monotonic_ns()}"
            call = Call()
            task = call.start(_stream(one, source, key))
            await wait_for_events(call, 20)
            relay.cut()
            await wait_for_events(call, 120)
            relay.mend()
            await task
            assert data_of(call) == NUMBERS[:300]
            assert call.complete
            assert source.begun == 1
            later = await Call().serve(_stream(two, source, key))
            assert later.body == call.body
            assert source.begun == 1

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert len(_messages(caplog, "continue without it")) == 1
    assert len(_messages(caplog, "Redis is reachable again")) == 1


def test_a_redis_that_comes_back_without_memory_is_told_what_is_still_known(
    server: Proxy, run: Run
) -> None:
    async def main() -> None:
        url = redis_url(server)
        async with _stores(url) as (one, two):
            source, key = Source(100, 0.01), f"forgot-{time.monotonic_ns()}"
            call = Call()
            task = call.start(_stream(one, source, key))
            await wait_for_events(call, 30)
            async with Redis.from_url(url) as client:
                await client.delete(*await _keys(url, key))
            await task
            assert data_of(call) == NUMBERS[:100]
            late = await Call().serve(_stream(two, source, key))
            told = data_of(late)
            assert 10 < len(told) < 100
            assert told == NUMBERS[100 - len(told) : 100]
            assert b"event: gap\n" in late.body
            assert source.begun == 1

    run(main())


@pytest.mark.parametrize(
    ("lease_s", "asked"), [(5, 1), (0.1, 2)], ids=["lease holds", "lease may be another's"]
)
def test_a_redis_that_does_not_answer_holds_no_event_longer_than_its_limit(
    server: Proxy, run: Run, caplog: pytest.LogCaptureFixture, lease_s: float, asked: int
) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), timeout_s=0.15, lease_s=lease_s) as (store, other):
            source, key = Source(220, 0.02), f"slow-{time.monotonic_ns()}"
            shown_at: dict[str, float] = {}

            class Watched(Call):
                async def send(self, message: dict[str, Any]) -> None:
                    await super().send(message)
                    for _, data in events_with_ids(message.get("body", b"")):
                        shown_at[data] = time.monotonic()

            call = Watched()
            task = call.start(_stream(store, source, key))
            await wait_for_events(call, 10)
            with paused(server.pid):
                await wait_for_events(call, 60)
            await task
            assert data_of(call) == NUMBERS[:220]
            held = sorted(shown_at[number] - source.due_at[number] for number in NUMBERS[:220])
            # Only those on their way when it stopped waited for it, as often as it was asked, and
            # for the limit each time at most; a busy machine is let off with once more.
            assert (asked - 0.2) * 0.15 < held[-1] < (asked + 1) * 0.15 + 0.1
            assert held[-12 * asked] < 0.1
            # It carried out in the end what it had not answered, and was not told twice.
            late = await Call().serve(_stream(other, source, key))
            assert late.body == call.body
            assert source.begun == 1

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert len(_messages(caplog, "continue without it")) == 1
    assert len(_messages(caplog, "Redis is reachable again")) == 1


def test_a_process_that_lost_its_lease_while_cut_off_does_not_mix_in(
    server: Proxy, run: Run
) -> None:
    async def main() -> None:
        async with (
            Relay(server) as relay,
            _stores(relay.url, 1) as (one,),
            _stores(redis_url(server), 1) as (two,),
        ):
            source, key = Source(400, 0.01), f"mix-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key))]
            await wait_for_events(here, 5)
            tasks.append(there.start(_stream(two, source, key)))
            await wait_for_events(there, 5)
            relay.cut()
            await there.until(lambda: source.begun == 2)
            relay.mend()
            with pytest.raises(StreamBroken):
                await tasks[0]
            assert source.closed == 1
            await tasks[1]
            assert data_of(there) == NUMBERS[:400]
            assert there.complete
            seen = events_with_ids(here.body)
            assert seen == events_with_ids(there.body)[: len(seen)]
            # Coming back to the process that was cut off is as good as to any other.
            again = await reconnect(seen[-1][0]).serve(_stream(one, source, key))
            assert data_of(here) + data_of(again) == NUMBERS[:400]

    run(main())


def test_readers_of_another_process_are_cut_when_redis_stays_away(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with (
            Relay(server) as relay,
            _stores(redis_url(server), 1) as (one,),
            _stores(relay.url, 1) as (two,),
        ):
            source, key = Source(1000, 0.01), f"away-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key))]
            await wait_for_events(here, 1)
            tasks.append(there.start(_stream(two, source, key)))
            await wait_for_events(there, 10)
            relay.cut()
            with pytest.raises(StreamBroken):
                await tasks[1]
            assert not there.complete
            assert b"event: error\n" in there.body
            ident = events_with_ids(there.body)[-1][0]
            relay.mend()
            back = reconnect(ident)
            tasks.append(back.start(_stream(two, source, key)))
            await wait_for_events(back, 10)
            seen = data_of(there) + data_of(back)
            assert seen == NUMBERS[: len(seen)]
            here.disconnected.set()
            back.disconnected.set()
            await tasks[0]
            await tasks[2]

    run(main())


def test_a_store_that_closes_hands_over_long_before_its_lease_is_over(
    server: Proxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 2, lease_s=3) as (one, two):
            source, key = Source(100, 0.01), f"hands-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key))]
            await wait_for_events(here, 5)
            tasks.append(there.start(_stream(two, source, key)))
            await wait_for_events(there, 5)
            await one.aclose()
            assert source.closed == 1
            with pytest.raises(StreamBroken):
                await tasks[0]
            await tasks[1]
            assert data_of(there) == NUMBERS[:100]
            assert there.complete
            assert (source.begun, source.closed) == (2, 2)

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert len(_messages(caplog, "continuing it here")) == 1


def test_closing_stops_every_source_at_once(server: Proxy, run: Run) -> None:
    async def main() -> None:
        # As a user's client is by default, with a limit of its own for each write.
        async with Redis.from_url(redis_url(server), socket_timeout=5) as client:
            for number in range(60):
                store, source = RedisReplay(client), Source(1000)
                call = Call()
                task = call.start(_stream(store, source, f"stop-{time.monotonic_ns()}"))
                await wait_for_events(call, 1)
                await asyncio.sleep(number / 30_000)  # Also while it writes.
                # A store that waits for its sources to end would take 2 s.
                async with asyncio.timeout(1):
                    await store.aclose()
                assert source.closed == 1
                with pytest.raises(StreamBroken):
                    await task

    run(main())


def test_a_clients_own_limit_is_no_sign_of_a_dead_redis(
    server: Proxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Redis.from_url(redis_url(server), socket_timeout=0.8) as client:
            one, two = (RedisReplay(client, lease_s=3) for _ in range(2))
            source, key = Source(3, 1.2), f"own-{time.monotonic_ns()}"
            calls = [Call(), Call()]
            tasks = [calls[0].start(_stream(one, source, key))]
            await wait_for_events(calls[0], 1)
            tasks.append(calls[1].start(_stream(two, source, key)))
            await asyncio.gather(*tasks)
            assert [data_of(call) for call in calls] == [NUMBERS[:3]] * 2
            await one.aclose()
            await two.aclose()

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert caplog.records == []


def test_a_source_is_taken_over_before_it_gave_anything(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 2) as (one, two):
            silent, source = Source(10, 60), Source(10)
            key = f"silent-{time.monotonic_ns()}"
            here, there, more = Call(), Call(), Call()
            tasks = [here.start(_stream(one, silent, key))]
            await here.until(lambda: silent.begun)
            # Whose source is at hand in the other process has left when it is needed.
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

    run(main())


def test_a_closing_store_says_at_once_that_nobody_can_go_on(server: Proxy, run: Run) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 2, lease_s=3) as (one, two):
            source, key = Source(1000, 0.01), f"alone-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key, go_on=False))]
            await wait_for_events(here, 5)
            tasks.append(there.start(_stream(two, source, key, go_on=False)))
            await wait_for_events(there, 5)
            await one.aclose()
            for task in tasks:
                with pytest.raises(StreamBroken):
                    await task
            late = Call()
            with pytest.raises(StreamBroken):
                await late.serve(_stream(two, source, key, go_on=False))
            assert data_of(late) == data_of(there)
            assert not late.complete
            assert source.begun == 1

    run(main())


def test_an_error_of_the_source_reaches_every_process_once(
    server: Proxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            for number in range(5):
                yield str(number)
                await asyncio.sleep(0.005)
            raise RuntimeError("secret")

        async with _stores(redis_url(server), 3) as stores:
            key = f"error-{time.monotonic_ns()}"
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

    with caplog.at_level(logging.INFO, "undam.asgi"):
        run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_client_that_leaves_while_its_stream_is_opened_leaves_no_lease(
    server: Proxy, run: Run
) -> None:
    async def main() -> None:
        async with _stores(redis_url(server), 2, lease_s=20, timeout_s=3) as (one, two):
            source, key = Source(10), f"leaves-{time.monotonic_ns()}"
            await Call().serve(_stream(one, Source(1), key + "warm"))
            call = Call()
            with paused(server.pid):
                task = call.start(_stream(one, source, key))
                await asyncio.sleep(0.1)  # Its question is on the way.
                call.disconnected.set()
                await task
            assert source.begun == 0
            while one._tasks:
                await asyncio.wait(one._tasks)
            began = time.monotonic()
            assert data_of(await Call().serve(_stream(two, source, key))) == NUMBERS[:10]
            assert time.monotonic() - began < 10

    run(main())


def test_a_stream_that_vanishes_with_its_producer_is_lost_and_said_to_be(
    server: Proxy, run: Run
) -> None:
    async def main() -> None:
        url = redis_url(server)
        async with (
            Relay(server) as relay,
            _stores(relay.url, 1) as (one,),
            _stores(url, 1) as (two,),
        ):
            source, key = Source(300, 0.01), f"vanishes-{time.monotonic_ns()}"
            here, there = Call(), Call()
            tasks = [here.start(_stream(one, source, key))]
            await wait_for_events(here, 5)
            tasks.append(there.start(_stream(two, source, key)))
            await wait_for_events(there, 5)
            relay.cut()
            async with Redis.from_url(url) as client:
                await client.delete(*await _keys(url, key))
            with pytest.raises(StreamBroken):
                await tasks[1]
            assert source.begun == 1
            await tasks[0]
            assert data_of(here) == NUMBERS[:300]

    run(main())


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
def test_what_bounds_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RedisReplay("redis://127.0.0.1:1", **options)
