"""`RedisReplay`: a replay store that processes share through Redis (extra ``redis``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import weakref
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Literal

from undam.asgi.replay.event_buffer import Bounds, EventBuffer, new_epoch
from undam.asgi.replay.interface import Producer, ReplayOver, SourceFailed, SourceLost, StoredEvent
from undam.asgi.replay.memory import MAX_BYTES, MAX_EVENTS, check_bounds
from undam.asgi.replay.stream_channel import StreamChannel
from undam.asgi.replay.stream_store import StreamStore
from undam.errors import UsageError

try:
    from redis.asyncio import Redis

    from undam.asgi.replay.redis_log import LogEntry, OpenResult, RedisDown, RedisLog, RedisSettings
    from undam.asgi.replay.redis_writer import MIN_EVENTS, RedisWriter, WriteOutcome
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "undam.asgi.redis requires the package redis: pip install 'undam[redis]'", name=missing.name
    ) from None

log = logging.getLogger("undam.asgi")

# Number of times per lease duration at which the lease is renewed, and checked by other processes.
_CHECKS_PER_LEASE = 3
# A local copy of another process's stream is dropped after this time without readers. Redis still
# has all of its events.
_UNREAD_COPY_S = 1.0
_RETRY_S = 0.5


class RedisReplay:
    """Replay store in Redis (6.2 or later); a reader can resume a stream at any process.

    One process runs the source of a stream and holds a lease, which it renews. The other processes
    follow the stream. Every event is stored in Redis before any reader receives it. Guarantees:

    - If a process that only serves readers dies, its readers can continue at any other process
      and receive every event exactly once.
    - If the process that runs the source dies, its lease expires and another process continues
      with the ``source_from`` of `EventStream`, at the first event that no reader has received.
      Without ``source_from``, the stream ends with an error for all readers, never cleanly.
    - If Redis is unreachable, running streams continue for their current readers. When Redis is
      reachable again, the events that are still in memory are written to it. New streams start
      without Redis, so two processes may start the same stream. If a reader reconnects to a process
      that does not know its stream, it receives an error and an abnormal end, after which an
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
            ``max_streams`` counts per process; a stream in Redis expires when it has not been
            read for ``linger_s`` seconds. ``slow_s`` applies to readers in the source's process.
            A reader at another process receives a gap if it falls behind the oldest stored event.
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
            raise UsageError(f"max_events must be at least {MIN_EVENTS} in Redis")
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
        self._opening: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._opening = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        # Copies of streams that other processes run. Redis has all of their events, so a copy can
        # be dropped at any time.
        self._copies: set[StreamChannel] = set()
        self._is_down = False

    def __len__(self) -> int:
        """Return the number of streams that this process runs or reads."""
        return len(self._store)

    @property
    def readers(self) -> int:
        """Number of readers of all streams in this process."""
        return sum(channel.readers for channel in self._store.values())

    async def aclose(self) -> None:
        """Stop all local sources, so that other processes can continue them; close the connection.

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
        self, key: str, last_id: str | None, produce: Producer
    ) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.attach`."""
        lock = self._opening.get(key)
        if lock is None:
            lock = self._opening[key] = asyncio.Lock()
        async with lock:
            channel = self._store.get(key)
            if channel is None:
                try:
                    channel = await self._open(key, produce, may_start=last_id is None)
                except RedisDown as error:
                    self._log_state(error)
                    return _unavailable()
        return channel.read(channel.start_after(last_id))

    async def _open(self, key: str, produce: Producer, *, may_start: bool) -> StreamChannel:
        stream_log = RedisLog(self._client, self._settings, key, secrets.token_hex(8))
        epoch, down = new_epoch(), False
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
            # This process may already have taken the lease and would never use it.
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
        self._store.add(key, channel)
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
        """Copy all events in Redis to ``channel``."""
        buffer = channel.buffer
        while channel.end is None and (opened.last > buffer.last or opened.role == "over"):
            entries = await stream_log.read(buffer.last, None)
            if not entries:
                break
            await _copy_entries(channel, entries)
        if buffer.last < opened.last:
            # Redis was short of memory and evicted events.
            buffer.skip_to(opened.last + 1)
        if opened.role == "over":
            channel.finish("lost")  # This has no effect if the end is already set.

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
        running = asyncio.create_task(_run(writer, produce, position), name="undam replay source")
        outcome: WriteOutcome | None = None
        try:
            outcome = await writer.run()
        finally:
            # This also runs at shutdown. The source must be closed before another process continues
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
                # Redis has the current state of the stream.
                self._store.drop(channel)
                channel.finish("lost")
            else:
                channel.finish(outcome)

    async def _follow(
        self, channel: StreamChannel, stream_log: RedisLog, produce: Producer
    ) -> None:
        """Copy the events that another process writes; take over if it dies."""
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
                    # The time counts from the first failure rather than the last reply, because
                    # this process may have been suspended.
                    failing_since = failing_since or loop.time()
                    if loop.time() - failing_since > self._lease_s:
                        # A dead producer would have been replaced by now. Readers can reconnect.
                        self._store.drop(channel)
                        return
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._copies.discard(channel)
            channel.task = None
            channel.finish("lost")  # This has no effect if the end is already set.

    async def _check_producer(
        self, channel: StreamChannel, stream_log: RedisLog, produce: Producer
    ) -> None:
        """Check that the producer's lease is still valid, after a period without events."""
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


async def _run(writer: RedisWriter, produce: Producer, position: int) -> None:
    try:
        last = await produce(writer.append, position)
    except SourceFailed as failure:
        await writer.finish([failure.last] if failure.last else [], "failed")
    except Exception:
        log.exception("the replay store could not run a source")
        await writer.finish([], "lost")
    else:
        await writer.finish(last, "complete")


async def _copy_entries(channel: StreamChannel, entries: Sequence[LogEntry]) -> None:
    """Publish entries of another process. Readers before a missing event receive a gap."""
    buffer = channel.buffer
    for number, data, end in entries:
        if end is not None:
            channel.finish(end)
        elif number > buffer.last:
            if number > buffer.last + 1:
                buffer.skip_to(number)
            await channel.wait_for_space(1, len(data))
            channel.publish(data)


async def _unavailable() -> AsyncGenerator[StoredEvent, None]:
    """Raise `SourceLost` at the first step.

    The response then ends abnormally, so that an EventSource reconnects. It would not reconnect
    after a 503.
    """
    no_events: tuple[StoredEvent, ...] = ()
    for event in no_events:
        yield event
    raise SourceLost("Redis is unreachable, so this stream cannot be resumed now")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
