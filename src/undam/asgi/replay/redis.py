"""A replay that processes share through Redis: `RedisReplay`. Needs the extra ``redis``."""

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
        "undam.asgi.redis needs the package redis: pip install 'undam[redis]'", name=missing.name
    ) from None

log = logging.getLogger("undam.asgi")

# How often a reader of another process's stream looks whether that process is alive, and a
# producer renews its lease: three times before it expires.
_CHECKS = 3
# What follows another process's stream for nobody is ended this soon; Redis has it all.
_MIRROR_S = 1.0
_RETRY_S = 0.5


class RedisReplay:
    """Keeps streams in Redis (6.2 or later), so that any process can resume them.

    One process runs the source of a stream, and says so with a lease that it renews; the others
    read along. Every event is in Redis before anyone sees it. What that promises:

    - A process that only serves dies: its readers go on at any other, every event exactly once.
    - The process that runs the source dies: when its lease is over, another goes on with
      ``source_from`` of `EventStream`, at the first event that nobody has seen. Without it the
      stream ends for all its readers with an error, never cleanly.
    - Redis fails: running streams go on for the readers they have, and are written when it is
      back, as far as memory reaches; new ones start without it, so that two processes may start
      the same; who comes back with an id to a process that knows nothing of it gets an error
      and an abnormal end, after which an EventSource tries again. No event is held longer than
      ``timeout_s`` for Redis, or twice that where this process could not renew its lease in
      time: another may have the stream then. It is logged once, and once when it is over.

    Call ``aclose()`` when the application ends: other processes then need not wait for leases.

    Args:
        redis: a URL, or a client of ``redis.asyncio``, which stays the caller's to close.
        prefix: of the names of all keys.
        max_events, max_bytes, max_streams, linger_s, slow_s, on_gap: as for `MemoryReplay`, with
            these differences. Redis may keep about 100 events more than ``max_events``.
            ``max_streams`` counts per process; a stream in Redis expires when it has not been
            read for ``linger_s`` seconds. ``slow_s`` applies to readers in the source's process.
            A reader elsewhere that falls behind by more than is kept receives a gap.
        lease_s: how long after its last sign of life a process is taken for dead.
        timeout_s: how long Redis may take for one command.

    Raises:
        UsageError: a bound that bounds nothing, or a time of 0.
    """

    def __init__(  # noqa: PLR0913 (each is a bound of its own, and all but one are named)
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
            raise UsageError("linger_s must be more than 0: whoever comes back needs time for it")
        if on_gap not in {"204", "event"}:
            raise UsageError(f"on_gap is '204' or 'event', not {on_gap!r}")
        self.on_gap: Literal["204", "event"] = on_gap
        self._owns = isinstance(redis, str)
        self._client = (
            Redis.from_url(redis, socket_timeout=None) if isinstance(redis, str) else redis
        )
        self._settings = RedisSettings(prefix, _ms(lease_s), _ms(linger_s), timeout_s)
        self._bounds = Bounds(max_events, max_bytes)
        self._linger_s, self._slow_s, self._lease_s = linger_s, slow_s, lease_s
        self._check_s = min(lease_s, linger_s) / _CHECKS
        self._store = StreamStore(max_streams)
        self._opening: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._opening = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mirrors: set[StreamChannel] = set()
        """What other processes fill: Redis has all of it, so nobody misses it here."""
        self._is_down = False

    def __len__(self) -> int:
        """Streams that this process runs or reads."""
        return len(self._store)

    @property
    def readers(self) -> int:
        """Readers of all its streams in this process."""
        return sum(channel.readers for channel in self._store.values())

    async def aclose(self) -> None:
        """Stop every source that runs here, and let others go on with it; close what it opened."""
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
                    self._tell(error)
                    return _unavailable()
        return channel.read(channel.start_after(last_id))

    async def _open(self, key: str, produce: Producer, *, may_start: bool) -> StreamChannel:
        entry = RedisLog(self._client, self._settings, key, secrets.token_hex(8))
        epoch, down = new_epoch(), False
        try:
            opened = await entry.open(epoch, may_start=may_start, may_go_on=produce.resumable)
            self._tell(None)
        except RedisDown as error:
            if not may_start:
                raise
            self._tell(error)
            opened, down = OpenResult("produce", epoch, 0), True
        except asyncio.CancelledError:
            # The lease may have been taken already, and nobody would produce for it.
            self._spawn(self._give_back(entry, "free"))
            raise
        if opened.part == "unknown":
            raise ReplayOver("nothing is kept of this stream any more")
        buffer = EventBuffer(opened.epoch, self._bounds)
        channel = StreamChannel(buffer, slow_s=self._slow_s, on_idle=self._idle)
        try:
            await self._read_up(channel, entry, opened)
        except BaseException:
            if opened.part == "produce":
                self._spawn(self._give_back(entry, "free"))
            raise
        self._store.add(key, channel)
        if channel.end is not None:
            self._drop_later(channel, self._linger_s)
        elif opened.part == "produce":
            channel.task = self._spawn(self._produce(channel, entry, produce, down=down))
        else:
            self._mirrors.add(channel)
            channel.task = self._spawn(self._follow(channel, entry, produce))
            self._drop_later(channel, _MIRROR_S)
        return channel

    async def _read_up(self, channel: StreamChannel, entry: RedisLog, opened: OpenResult) -> None:
        """Take over all that Redis has of a stream."""
        buffer = channel.buffer
        while channel.end is None and (opened.last > buffer.last or opened.part == "over"):
            entries = await entry.read(buffer.last, None)
            if not entries:
                break
            await _copy_entries(channel, entries)
        if buffer.last < opened.last:
            # Redis was short of memory and dropped events of itself.
            buffer.skip_to(opened.last + 1)
        if opened.part == "over":
            channel.finish("lost")  # A second end does nothing.

    async def _produce(
        self, channel: StreamChannel, entry: RedisLog, produce: Producer, *, down: bool = False
    ) -> None:
        """Run the source; the lease is ours. The writer sees to it that somebody reads."""
        channel.cancel_timer()
        self._mirrors.discard(channel)
        position = channel.buffer.last
        writer = RedisWriter(
            entry,
            channel,
            written=position,
            lease_s=self._lease_s,
            renew_s=self._check_s,
            linger_s=self._linger_s,
            tell=self._tell,
            max_bytes=self._bounds.max_bytes,
            down=down,
        )
        running = asyncio.create_task(_run(writer, produce, position), name="undam replay source")
        outcome: WriteOutcome | None = None
        try:
            outcome = await writer.run()
        finally:
            # Also when the process ends: the source has to be closed before others go on with it.
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            if outcome == "abandoned":
                await self._give_back(entry, "forget")
            elif outcome is None:
                await self._give_back(entry, "free" if produce.resumable else "lost")
            channel.task = None
            if outcome is None or outcome == "abandoned" or outcome == "taken":  # noqa: PLR1714 (for mypy)
                # What became of it is to be seen in Redis.
                self._store.drop(channel)
                channel.finish("lost")
            else:
                channel.finish(outcome)

    async def _follow(self, channel: StreamChannel, entry: RedisLog, produce: Producer) -> None:
        """Read along what another process writes; take over if it dies."""
        loop = asyncio.get_running_loop()
        touched = loop.time()
        failing_since: float | None = None
        try:
            while channel.end is None:
                try:
                    entries = await entry.read(channel.buffer.last, _ms(self._check_s))
                    if channel.readers and loop.time() - touched >= self._check_s:
                        touched = loop.time()
                        await entry.touch()
                    self._tell(None)
                    failing_since = None
                    await _copy_entries(channel, entries)
                    if not entries:
                        await self._look_after(channel, entry, produce)
                except RedisDown as error:
                    self._tell(error)
                    # Not since it last answered: this process may have stood still.
                    failing_since = failing_since or loop.time()
                    if loop.time() - failing_since > self._lease_s:
                        # Longer than a dead producer is waited for; the readers may come back.
                        self._store.drop(channel)
                        return
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._mirrors.discard(channel)
            channel.task = None
            channel.finish("lost")  # A second end does nothing.

    async def _look_after(self, channel: StreamChannel, entry: RedisLog, produce: Producer) -> None:
        """Nothing came for a while: is whoever produces still there?"""
        epoch = channel.buffer.epoch
        opened = await entry.open(epoch, may_start=False, may_go_on=produce.resumable)
        if opened.epoch != epoch:
            channel.finish("lost")
        elif opened.part != "follow":
            await self._read_up(channel, entry, opened)
            if opened.part == "produce":
                log.warning("a process that ran the source of a stream is gone; going on with it")
                await self._produce(channel, entry, produce)

    def _idle(self, channel: StreamChannel) -> None:
        if channel.end is not None and channel.kept:
            self._drop_later(channel, self._linger_s)
        elif channel in self._mirrors:
            self._drop_later(channel, _MIRROR_S)

    def _drop_later(self, channel: StreamChannel, seconds: float) -> None:
        channel.cancel_timer()
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(seconds, self._store.drop, channel)

    async def _give_back(self, entry: RedisLog, what: Literal["free", "lost", "forget"]) -> None:
        with contextlib.suppress(RedisDown):
            await entry.release(what)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="undam replay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, error: RedisDown | None) -> None:
        if (error is not None) is self._is_down:
            return
        self._is_down = error is not None
        if error is not None:
            log.error("Redis fails (%s); event streams go on without it", error)
        else:
            log.warning("Redis answers again; event streams are kept in it")


async def _run(writer: RedisWriter, produce: Producer, position: int) -> None:
    try:
        last = await produce(writer.append, position)
    except SourceFailed as failure:
        await writer.finish([failure.last] if failure.last else [], "failed")
    except Exception:
        log.exception("a replay could not run a source")
        await writer.finish([], "lost")
    else:
        await writer.finish(last, "complete")


async def _copy_entries(channel: StreamChannel, entries: Sequence[LogEntry]) -> None:
    """Show what another process wrote; a hole is told to readers who still have to cross it."""
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
    """An abnormal end, after which an EventSource tries again; it would not after a 503."""
    nothing: tuple[StoredEvent, ...] = ()
    for event in nothing:
        yield event
    raise SourceLost("Redis fails, so this stream cannot be resumed now")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
