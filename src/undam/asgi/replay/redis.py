"""`RedisReplay`: a replay store in Redis, shared by several processes (extra ``redis``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import weakref
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Literal

from undam.asgi.replay.event_buffer import Bounds, EventBuffer, is_epoch, new_epoch
from undam.asgi.replay.interface import (
    AttachMode,
    Producer,
    ReplayOver,
    ReplayUnknown,
    SourceLost,
    StoredEvent,
    StreamStatus,
)
from undam.asgi.replay.memory import MAX_BYTES, MAX_EVENTS, STOP_S, check_bounds
from undam.asgi.replay.stream_channel import StreamChannel
from undam.asgi.replay.stream_store import TOPIC, StoreName, StreamStore
from undam.errors import UsageError

try:
    from redis.asyncio import Redis

    from undam.asgi.replay.redis_groups import RedisGroups
    from undam.asgi.replay.redis_log import LogEntry, OpenResult, RedisDown, RedisLog, RedisSettings
    from undam.asgi.replay.redis_writer import MIN_EVENTS, RedisWriter, WriteOutcome
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "undam.asgi.redis requires the package redis: pip install 'undam[redis]'", name=missing.name
    ) from None

log = logging.getLogger("undam.asgi")

# Number of renewals per lease duration. Other processes check the lease equally often.
_CHECKS_PER_LEASE = 3
# Local copies of another process's stream are dropped after this time without readers. Redis still
# has all events.
_UNREAD_COPY_S = 1.0
_RETRY_S = 0.5


class RedisReplay:
    """Replay store in Redis 6.2 or later. A reader can resume a stream in any process.

    One process runs the source of a stream and holds a lease, which it renews. The other processes
    follow the stream. Every event is stored in Redis before any reader receives it. Guarantees:

    - If a process that only serves readers dies, its readers can continue in any other process
      and receive every event exactly once.
    - If the process that runs the source dies, its lease expires and another process continues
      with the ``source_from`` of `EventStream`, at the first event that no reader has received.
      Without ``source_from``, the stream ends with an error for all readers, never cleanly.
    - If Redis is unreachable, running streams continue for their current readers. When Redis is
      reachable again, the events that are still in memory are written to it. New streams start
      without Redis, so two processes may start the same stream. If a reader reconnects to a process
      that has no record of its stream, it receives an error and an abnormal end, after which an
      EventSource reconnects. An event waits at most ``timeout_s`` for Redis. It waits twice as long
      if this process could not renew its lease in time, because another process may then hold the
      stream. The start and the end of an outage are each logged once.

    Call ``aclose()`` when the application stops. Otherwise, other processes have to wait until the
    leases expire.

    Args:
        redis: a URL, or a client of ``redis.asyncio``, which the caller must close.
        prefix: prefix of all key names.
        max_events, max_bytes, max_streams, linger_s, slow_s, on_gap: as for `MemoryReplay`, with
            these differences: Redis may keep about 100 events more than ``max_events``.
            ``max_streams`` counts per process; a stream in Redis expires when it has not been read
            for ``linger_s`` seconds. ``slow_s`` applies to readers in the source's process. A
            reader in another process receives a gap if it falls behind the oldest stored event.
        lease_s: seconds after its last renewal at which a process is considered dead.
        timeout_s: time limit for one Redis command, in seconds.

    Raises:
        UsageError: a bound is out of range, or a time is 0.
    """

    def __init__(  # noqa: PLR0913 (independent bounds, all but one by keyword)
        self,
        redis: str | Redis,
        *,
        prefix: str = "undam:",
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        max_streams: int = 256,
        linger_s: float = 60.0,
        slow_s: float = 10.0,
        lease_s: float = 5.0,
        timeout_s: float = 0.5,
        on_gap: Literal["204", "event"] = "event",
    ) -> None:
        check_bounds(max_events, max_bytes, max_streams, linger_s, slow_s)
        for name, seconds in {"lease_s": lease_s, "timeout_s": timeout_s}.items():
            if not 0 < seconds < float("inf"):
                raise UsageError(f"{name} must be more than 0 seconds")
        if max_events < MIN_EVENTS:
            raise UsageError(f"max_events must be at least {MIN_EVENTS} with Redis")
        if linger_s == 0:
            raise UsageError("linger_s must be more than 0, or no reader could reconnect")
        if on_gap not in {"204", "event"}:
            raise UsageError(f"on_gap must be '204' or 'event', not {on_gap!r}")
        self.on_gap: Literal["204", "event"] = on_gap
        self._owns = isinstance(redis, str)
        self._client = (
            Redis.from_url(redis, socket_timeout=None) if isinstance(redis, str) else redis
        )
        self._settings = RedisSettings(prefix, _ms(lease_s), _ms(linger_s), timeout_s)
        self._bounds = Bounds(max_events, max_bytes)
        self._linger_s, self._slow_s, self._lease_s = linger_s, slow_s, lease_s
        self._check_s = min(lease_s, linger_s) / _CHECKS_PER_LEASE
        self._store = StreamStore(max_streams)
        self._opening: weakref.WeakValueDictionary[StoreName, asyncio.Lock]
        self._opening = weakref.WeakValueDictionary()
        self._groups = RedisGroups(self._client, self._settings)
        self._tasks: set[asyncio.Task[None]] = set()
        # Local copies of streams that other processes run. They can be dropped at any time, because
        # Redis has all events.
        self._copies: set[StreamChannel] = set()
        self._is_down = False

    def __len__(self) -> int:
        """Return the number of streams that this process produces or copies."""
        return len(self._store)

    @property
    def readers(self) -> int:
        """Total number of readers in this process."""
        return sum(channel.readers for channel in self._store.values())

    async def aclose(self) -> None:
        """Stop all local sources, which other processes can then continue; close the connection.

        A client that was passed to the constructor stays open.
        """
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._store.values():
            self._store.drop(channel)
        if self._owns:
            await self._client.aclose()

    async def attach(
        self, key: str, last_id: str | None, produce: Producer, *, mode: AttachMode = "join"
    ) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.attach`."""
        name = key, await self._run_for(key, last_id, mode)
        async with self._lock(name):
            channel = self._store.get(name)
            if channel is None:
                may_start = last_id is None and mode != "existing"
                try:
                    channel = await self._open(name, produce, may_start=may_start)
                except RedisDown as error:
                    self._log_state(error)
                    return _unavailable()
                except ReplayOver:
                    if mode == "existing":
                        raise ReplayUnknown("this stream is not stored") from None
                    raise
        return channel.read(channel.start_after(last_id))

    async def status(self, key: str) -> StreamStatus | None:
        """See `Replay.status`."""
        return await self._log(key, await self._log(key).current_run()).status()

    async def stop(self, key: str) -> bool:
        """See `Replay.stop`. A source in another process stops within ``lease_s / 3`` seconds."""
        run = await self._log(key).current_run()
        was_running = await self._log(key, run).stop() or await self._log(key, TOPIC).stop()
        channel = self._store.get((key, run))
        if channel is not None and channel.end is None and channel not in self._copies:
            channel.finish("stopped")
            if channel.task is not None:
                channel.task.cancel()
                await asyncio.wait([channel.task], timeout=STOP_S)
        return was_running

    async def remember(self, group: str, key: str) -> None:
        """See `Replay.remember`."""
        await self._groups.add(group, key)

    async def list_group(self, group: str) -> list[tuple[str, StreamStatus]]:
        """See `Replay.list_group`."""
        found: list[tuple[str, StreamStatus]] = []
        for key in await self._groups.keys(group):
            if (status := await self.status(key)) is None:
                await self._groups.remove(group, key)
            else:
                found.append((key, status))
        return found

    async def publish(self, topic: str, data: bytes) -> str:
        """See `Replay.publish`.

        Raises:
            RedisDown: Redis is unreachable, so no reader receives the event.
        """
        log_of_topic, most = self._log(topic, TOPIC), self._bounds.max_events
        epoch, number = await log_of_topic.publish(new_epoch(), most, data)
        return f"{epoch}:{number}"

    async def subscribe(self, topic: str, last_id: str | None) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.subscribe`."""
        name = topic, TOPIC
        async with self._lock(name):
            channel = self._store.get(name)
            if channel is None or channel.end is not None:
                try:
                    channel = await self._open_topic(topic)
                except RedisDown as error:
                    self._log_state(error)
                    return _unavailable()
        return channel.read(
            channel.buffer.last if last_id is None else channel.start_after(last_id)
        )

    def _lock(self, name: StoreName) -> asyncio.Lock:
        lock = self._opening.get(name)
        if lock is None:
            lock = self._opening[name] = asyncio.Lock()
        return lock

    def _log(self, key: str, run: str = "") -> RedisLog:
        return RedisLog(self._client, self._settings, key, secrets.token_hex(8), run)

    async def _run_for(self, key: str, last_id: str | None, mode: AttachMode) -> str:
        """Return the run to resume or join; empty for the first run under ``key``."""
        if mode == "new" and last_id is None:
            return new_epoch()
        try:
            if not last_id:
                return await self._log(key).current_run()
            # Every event ID begins with the epoch, which identifies the run.
            epoch = last_id.partition(":")[0]
            if not is_epoch(epoch):
                return ""
            if self._store.get((key, epoch)) is not None or await self._log(key, epoch).exists():
                return epoch
        except RedisDown as error:
            self._log_state(error)
            return self._store.newest_run(key)
        return ""

    async def _open_topic(self, topic: str) -> StreamChannel:
        topic_log = self._log(topic, TOPIC)
        epoch, last = await topic_log.publish(new_epoch(), self._bounds.max_events, None)
        buffer = EventBuffer(epoch, self._bounds)
        channel = StreamChannel(buffer, slow_s=self._slow_s, on_idle=self._idle)
        await self._copy_all(channel, topic_log, OpenResult("follow", epoch, last))
        self._store.add((topic, TOPIC), channel)
        self._copies.add(channel)
        channel.task = self._spawn(self._follow_topic(channel, topic_log))
        self._drop_later(channel, _UNREAD_COPY_S)
        return channel

    async def _follow_topic(self, channel: StreamChannel, topic_log: RedisLog) -> None:
        """Copy a topic's events from Redis while the topic has readers in this process."""
        buffer = channel.buffer
        try:
            while channel.end is None:
                entries = await topic_log.read(buffer.last, _ms(self._check_s))
                await _copy_entries(channel, entries, waits=False)
                if not entries:
                    # Publishing without an event renews the expiry time of an idle topic.
                    most = self._bounds.max_events
                    epoch, _ = await topic_log.publish(new_epoch(), most, None)
                    if epoch != buffer.epoch:
                        break
        except RedisDown as error:
            self._log_state(error)
        finally:
            self._copies.discard(channel)
            channel.task = None
            channel.finish("lost")  # no effect if the stream has already ended

    async def _open(self, name: StoreName, produce: Producer, *, may_start: bool) -> StreamChannel:
        key, run = name
        stream_log = self._log(key, run)
        epoch, down = run or new_epoch(), False
        try:
            opened = await stream_log.open(
                epoch, may_start=may_start, may_continue=produce.resumable
            )
            self._log_state(None)
        except RedisDown as error:
            if not may_start:
                raise
            self._log_state(error)
            opened, down = OpenResult("produce", epoch, 0), True
        except asyncio.CancelledError:
            # This process may have acquired the lease, but it will not run the source, so release
            # the lease.
            self._spawn(self._release(stream_log, "free"))
            raise
        if opened.role == "unknown":
            raise ReplayOver("this stream is no longer stored")
        buffer = EventBuffer(opened.epoch, self._bounds)
        channel = StreamChannel(buffer, slow_s=self._slow_s, on_idle=self._idle)
        try:
            await self._copy_all(channel, stream_log, opened)
        except BaseException:
            if opened.role == "produce":
                self._spawn(self._release(stream_log, "free"))
            raise
        self._store.add(name, channel)
        if channel.end is not None:
            self._drop_later(channel, self._linger_s)
        elif opened.role == "produce":
            channel.task = self._spawn(self._produce(channel, stream_log, produce, down=down))
        else:
            self._copies.add(channel)
            channel.task = self._spawn(self._follow(channel, stream_log, produce))
            self._drop_later(channel, _UNREAD_COPY_S)
        return channel

    async def _copy_all(
        self, channel: StreamChannel, stream_log: RedisLog, opened: OpenResult
    ) -> None:
        """Copy all stored events from Redis to ``channel``."""
        buffer = channel.buffer
        while channel.end is None and (opened.last > buffer.last or opened.role == "over"):
            entries = await stream_log.read(buffer.last, None)
            if not entries:
                break
            await _copy_entries(channel, entries)
        if buffer.last < opened.last:
            # Redis was short of memory and evicted the missing events.
            buffer.skip_to(opened.last + 1)
        if opened.role == "over":
            channel.finish("lost")  # no effect if the stream has already ended

    async def _produce(
        self, channel: StreamChannel, stream_log: RedisLog, produce: Producer, *, down: bool = False
    ) -> None:
        """Run the source while this process holds the lease and the stream has readers."""
        channel.cancel_timer()
        self._copies.discard(channel)
        position = channel.buffer.last
        writer = RedisWriter(
            stream_log,
            channel,
            written=position,
            lease_s=self._lease_s,
            renew_s=self._check_s,
            linger_s=self._linger_s,
            on_state=self._log_state,
            max_bytes=self._bounds.max_bytes,
            down=down,
        )
        running = asyncio.create_task(
            writer.run_source(produce, position), name="undam replay source"
        )
        outcome: WriteOutcome | None = None
        try:
            outcome = await writer.run()
        finally:
            # This also runs at shutdown: the source must be closed before another process continues
            # the stream.
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            if outcome == "abandoned":
                await self._release(stream_log, "forget")
            elif outcome is None:
                await self._release(stream_log, "free" if produce.resumable else "lost")
            channel.task = None
            if outcome is None or outcome == "abandoned" or outcome == "taken":  # noqa: PLR1714 (mypy)
                # Redis has the stream's current state, so drop the local copy.
                self._store.drop(channel)
                channel.finish("lost")
            else:
                channel.finish(outcome)

    async def _follow(
        self, channel: StreamChannel, stream_log: RedisLog, produce: Producer
    ) -> None:
        """Copy the events that another process writes; take over if that process dies."""
        loop = asyncio.get_running_loop()
        touched = loop.time()
        failing_since: float | None = None
        try:
            while channel.end is None:
                try:
                    entries = await stream_log.read(channel.buffer.last, _ms(self._check_s))
                    if channel.readers and loop.time() - touched >= self._check_s:
                        touched = loop.time()
                        await stream_log.touch()
                    self._log_state(None)
                    failing_since = None
                    await _copy_entries(channel, entries)
                    if not entries:
                        await self._check_producer(channel, stream_log, produce)
                except RedisDown as error:
                    self._log_state(error)
                    # Measured from the first failure, not from the last reply, because this process
                    # may have been suspended in between.
                    failing_since = failing_since or loop.time()
                    if loop.time() - failing_since > self._lease_s:
                        # By now, another process would have replaced a dead producer. Drop the
                        # copy; readers can reconnect.
                        self._store.drop(channel)
                        return
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._copies.discard(channel)
            channel.task = None
            channel.finish("lost")  # no effect if the stream has already ended

    async def _check_producer(
        self, channel: StreamChannel, stream_log: RedisLog, produce: Producer
    ) -> None:
        """Check after an idle period that the producer's lease is still valid."""
        epoch = channel.buffer.epoch
        opened = await stream_log.open(epoch, may_start=False, may_continue=produce.resumable)
        if opened.epoch != epoch:
            channel.finish("lost")
        elif opened.role != "follow":
            await self._copy_all(channel, stream_log, opened)
            if opened.role == "produce":
                log.warning(
                    "the process that ran the source of a stream has died; continuing it here"
                )
                await self._produce(channel, stream_log, produce)

    def _idle(self, channel: StreamChannel) -> None:
        if channel.end is not None and channel.stored:
            self._drop_later(channel, self._linger_s)
        elif channel in self._copies:
            self._drop_later(channel, _UNREAD_COPY_S)

    def _drop_later(self, channel: StreamChannel, seconds: float) -> None:
        channel.cancel_timer()
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(seconds, self._store.drop, channel)

    async def _release(self, stream_log: RedisLog, what: Literal["free", "lost", "forget"]) -> None:
        with contextlib.suppress(RedisDown):
            await stream_log.release(what)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="undam replay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _log_state(self, error: RedisDown | None) -> None:
        if (error is not None) is self._is_down:
            return
        self._is_down = error is not None
        if error is not None:
            log.error("Redis is unreachable (%s); event streams continue without Redis", error)
        else:
            log.warning("Redis is reachable again; event streams are stored again")


async def _copy_entries(
    channel: StreamChannel, entries: Sequence[LogEntry], *, waits: bool = True
) -> None:
    """Publish another process's entries locally. Readers with missing entries receive a gap.

    Args:
        waits: wait for slow readers; otherwise they receive a gap.
    """
    buffer = channel.buffer
    for number, data, end in entries:
        if end is not None:
            channel.finish(end)
        elif number > buffer.last:
            if number > buffer.last + 1:
                buffer.skip_to(number)
            if waits:
                await channel.wait_for_space(1, len(data))
            channel.publish(data)


async def _unavailable() -> AsyncGenerator[StoredEvent, None]:
    """Raise `SourceLost` when the caller starts to iterate.

    The response then ends abnormally, so that an EventSource reconnects. It would not reconnect
    after a 503.
    """
    no_events: tuple[StoredEvent, ...] = ()
    for event in no_events:
        yield event
    raise SourceLost("Redis is unreachable, so this stream cannot be resumed now")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
