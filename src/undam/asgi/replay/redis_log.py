"""Storage of one stream in Redis: its keys, and the scripts that change them atomically.

All keys are in the same cluster slot:

- ``events``: a Redis stream. Entry ``N-0`` is event N, with its bytes in the field ``d``. The field
  ``s`` of the last entry contains the end of the stream.
- ``about``: a hash with ``epoch``, ``last`` and ``end``.
- ``lease``: the token of the process that runs the source. It expires unless renewed.
- ``readers``: expires ``linger_s`` seconds after the last read.
- ``current``: shared by all streams of the application's key. It holds the run of the newest one,
  if that was started although the key was known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import RedisError

from undam.asgi.replay.interface import StoreUnavailable, StreamState, StreamStatus
from undam.asgi.replay.stream_channel import End

# Maximum number of events per XREAD. The limit bounds memory use, but still lets a reader that is
# far behind catch up in few round trips.
_PAGE = 200
# Maximum duration of a blocking read. After it, the producer's lease is checked.
_BLOCK_MS = 1000
# Longer keys are hashed, because Redis keeps every name in memory and every command contains it.
_MAX_KEY_BYTES = 200

# ARGV: token, epoch, lease_ms, keep_ms, linger_ms, may_start, may_continue, run
_OPEN = """
local events, about, lease, readers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch = redis.call('HGET', about, 'epoch')
if not epoch then
  if ARGV[6] == '0' then return {'unknown', '', 0} end
  redis.call('DEL', events)
  redis.call('HSET', about, 'epoch', ARGV[2], 'last', 0)
  redis.call('PEXPIRE', about, ARGV[4])
  redis.call('SET', lease, ARGV[1], 'PX', ARGV[3])
  redis.call('SET', readers, 1, 'PX', ARGV[5])
  if ARGV[8] ~= '' then redis.call('SET', KEYS[5], ARGV[8], 'PX', ARGV[4]) end
  return {'produce', ARGV[2], 0}
end
local last = tonumber(redis.call('HGET', about, 'last'))
if redis.call('HEXISTS', about, 'end') == 1 then return {'over', epoch, last} end
if redis.call('EXISTS', lease) == 1 then return {'follow', epoch, last} end
if ARGV[7] == '1' or (ARGV[6] == '1' and last == 0) then
  redis.call('SET', lease, ARGV[1], 'PX', ARGV[3])
  redis.call('SET', readers, 1, 'PX', ARGV[5])
  return {'produce', epoch, last}
end
redis.call('HSET', about, 'end', 'lost')
redis.call('XADD', events, (last + 1) .. '-0', 's', 'lost')
redis.call('PEXPIRE', events, ARGV[4])
redis.call('PEXPIRE', about, ARGV[4])
return {'over', epoch, last}
"""

# ARGV: token, epoch, lease_ms, keep_ms, linger_ms, has_readers, first, oldest, end, events...
# Events that are already stored are skipped: the reply to an earlier attempt may have been lost.
_APPEND = """
local events, about, lease, readers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch = redis.call('HGET', about, 'epoch')
if not epoch then
  redis.call('DEL', events)
  redis.call('HSET', about, 'epoch', ARGV[2], 'last', 0)
elseif epoch ~= ARGV[2] then
  return {'taken', 0}
end
local ended = redis.call('HGET', about, 'end')
if ended then return {ended == 'stopped' and 'stopped' or 'ended', 0} end
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then return {'taken', 0} end
local last = tonumber(redis.call('HGET', about, 'last'))
local number = tonumber(ARGV[7])
for i = 10, #ARGV do
  if number > last then
    redis.call('XADD', events, 'MINID', '~', ARGV[8] .. '-0', number .. '-0', 'd', ARGV[i])
    last = number
  end
  number = number + 1
end
redis.call('HSET', about, 'last', last)
if ARGV[9] == '' then
  redis.call('SET', lease, ARGV[1], 'PX', ARGV[3])
else
  redis.call('HSET', about, 'end', ARGV[9])
  redis.call('XADD', events, (last + 1) .. '-0', 's', ARGV[9])
  redis.call('DEL', lease)
end
if ARGV[6] == '1' then redis.call('SET', readers, 1, 'PX', ARGV[5]) end
redis.call('PEXPIRE', events, ARGV[4])
redis.call('PEXPIRE', about, ARGV[4])
redis.call('PEXPIRE', KEYS[5], ARGV[4])
return {'ok', redis.call('EXISTS', readers)}
"""

# ARGV: keep_ms. The producer notices at its next command that the stream has ended.
_STOP = """
local events, about, lease = KEYS[1], KEYS[2], KEYS[3]
local last = redis.call('HGET', about, 'last')
if not last or redis.call('HEXISTS', about, 'end') == 1 then return 0 end
redis.call('HSET', about, 'end', 'stopped')
redis.call('XADD', events, (tonumber(last) + 1) .. '-0', 's', 'stopped')
redis.call('DEL', lease)
redis.call('PEXPIRE', events, ARGV[1])
redis.call('PEXPIRE', about, ARGV[1])
return 1
"""

# ARGV: epoch for a new topic, keep_ms, max_events, and the event unless the topic is only opened.
_PUBLISH = """
local events, about = KEYS[1], KEYS[2]
local epoch = redis.call('HGET', about, 'epoch')
if not epoch or redis.call('HEXISTS', about, 'end') == 1 then
  epoch = ARGV[1]
  redis.call('DEL', events, about)
  redis.call('HSET', about, 'epoch', epoch, 'last', 0)
end
local last = tonumber(redis.call('HGET', about, 'last'))
if ARGV[4] then
  last = last + 1
  redis.call('XADD', events, 'MAXLEN', '~', ARGV[3], last .. '-0', 'd', ARGV[4])
  redis.call('HSET', about, 'last', last)
end
redis.call('PEXPIRE', events, ARGV[2])
redis.call('PEXPIRE', about, ARGV[2])
return {epoch, last}
"""

# ARGV: token, what, keep_ms. Values of what: 'free' deletes the lease, 'lost' also ends the stream,
# and 'forget' deletes everything.
_RELEASE = """
local events, about, lease, readers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('GET', lease) ~= ARGV[1] then return 0 end
if ARGV[2] == 'forget' then return redis.call('DEL', events, about, lease, readers) end
if ARGV[2] == 'lost' then
  redis.call('HSET', about, 'end', 'lost')
  local last = tonumber(redis.call('HGET', about, 'last'))
  redis.call('XADD', events, (last + 1) .. '-0', 's', 'lost')
  redis.call('PEXPIRE', events, ARGV[3])
end
return redis.call('DEL', lease)
"""

StreamRole = Literal["produce", "follow", "over", "unknown"]
"""Role of a process: run the source, follow another process, or only read an ended stream."""


class RedisDown(StoreUnavailable):
    """Redis did not reply in time, or it replied with an error."""


class OpenResult(NamedTuple):
    """State of a stream in Redis.

    Attributes:
        role: role of this process.
        last: number of the newest event.
    """

    role: StreamRole
    epoch: str
    last: int


class LogEntry(NamedTuple):
    """Stored event ``number``, or the end of the stream if ``end`` is set."""

    number: int
    data: bytes
    end: End | None


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Settings for `RedisReplay`: key prefix, times in ms, and time limit per command in s."""

    prefix: str
    lease_ms: int
    linger_ms: int
    timeout_s: float

    @property
    def keep_ms(self) -> int:
        """Time in ms after which unused keys expire; longer than the linger time."""
        return self.linger_ms + 2 * self.lease_ms


class RedisLog:
    """Access of one process to the stream ``key`` in Redis.

    Every method raises `RedisDown` if Redis does not reply within ``timeout_s``.

    Args:
        token: identifies the holder of the lease; every run of a source has a different one.
        run: name of a stream that was started although ``key`` was known; empty for the first.
    """

    def __init__(
        self, client: Redis, settings: RedisSettings, key: str, token: str, run: str = ""
    ) -> None:
        self._client = client
        self._settings = settings
        self._token = token
        # A blocking read must end before the client's own socket timeout, because that timeout
        # looks like a Redis outage.
        own_s = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._max_block_ms = (
            _BLOCK_MS if own_s is None else min(_BLOCK_MS, max(1, int(own_s * 500)))
        )
        # The braces make a Redis cluster put all keys of the stream in the same slot.
        name = f"{settings.prefix}{{{_quoted(key)}}}"
        stream = f"{name}#{run}" if run else name
        self._run = run
        self._keys = [f"{stream}:{part}" for part in ("events", "about", "lease", "readers")]
        self._keys.append(f"{name}:current")
        self._stop = client.register_script(_STOP)
        self._publish = client.register_script(_PUBLISH)
        self._open = client.register_script(_OPEN)
        self._append = client.register_script(_APPEND)
        self._release = client.register_script(_RELEASE)

    async def open(self, epoch: str, *, may_start: bool, may_continue: bool) -> OpenResult:
        """Determine this process's role. If the role is ``produce``, also take the lease.

        Args:
            may_start: start the stream with ``epoch`` if it does not exist.
            may_continue: run the source from the middle if the lease of its process has expired.
        """
        settings = self._settings
        arguments: list[Any] = [
            self._token,
            epoch,
            settings.lease_ms,
            settings.keep_ms,
            settings.linger_ms,
        ]
        arguments += [int(may_start), int(may_continue), self._run]
        async with self._redis_errors():
            role, name, last = await self._open(keys=self._keys, args=arguments)
        return OpenResult(cast("StreamRole", _text(role)), _text(name), int(last))

    async def append(
        self,
        epoch: str,
        first: int,
        events: Sequence[bytes],
        *,
        oldest: int,
        end: End | None,
        has_readers: bool,
    ) -> tuple[str, bool]:
        """Store ``events``, numbered from ``first``, and renew the lease.

        Args:
            oldest: number of the oldest event that must be kept.
            end: end of the stream after these events; ``None`` if it continues.

        Returns:
            Status, and whether there was a reader within the linger time. The status is ``"ok"``,
            ``"ended"`` (another process has ended the stream as lost), ``"stopped"`` (the stream
            was stopped on request) or ``"taken"`` (another process holds the lease).
        """
        settings = self._settings
        arguments: list[Any] = [
            self._token,
            epoch,
            settings.lease_ms,
            settings.keep_ms,
            settings.linger_ms,
        ]
        arguments += [int(has_readers), first, oldest, end or ""]
        async with self._redis_errors():
            status, is_read = await self._append(keys=self._keys, args=[*arguments, *events])
        return _text(status), bool(is_read)

    async def read(self, after: int, block_ms: int | None) -> list[LogEntry]:
        """Return the entries after number ``after``. If there are none, wait for the next entry.

        Args:
            block_ms: maximum wait, which may be shortened; ``None`` to return without waiting.
        """
        if block_ms is not None:
            block_ms = min(block_ms, self._max_block_ms)
        async with self._redis_errors((block_ms or 0) / 1000):
            streams: Any = {self._keys[0]: f"{after}-0"}
            found: Any = await self._client.xread(streams, count=_PAGE, block=block_ms)
        if not found:
            return []
        # RESP2 returns pairs. RESP3, which a client may enable, returns a dict of stream names and
        # lists of pages.
        pages = (
            [page for pages in found.values() for page in pages]
            if isinstance(found, dict)
            else [page for _, page in found]
        )
        return [_entry(ident, fields) for page in pages for ident, fields in page]

    async def touch(self) -> None:
        """Record that the stream currently has a reader."""
        async with self._redis_errors():
            await self._client.set(self._keys[3], 1, px=self._settings.linger_ms)

    async def release(self, what: Literal["free", "lost", "forget"]) -> None:
        """Release the lease if this process holds it.

        Args:
            what: ``free`` allows another process to continue, ``lost`` ends the stream, and
                ``forget`` deletes it.
        """
        async with self._redis_errors():
            await self._release(keys=self._keys, args=[self._token, what, self._settings.keep_ms])

    async def current_run(self) -> str:
        """Return the run ID of the newest stream under this key; empty for the first run."""
        async with self._redis_errors():
            run = await self._client.get(self._keys[4])
        return _text(run) if run else ""

    async def exists(self) -> bool:
        """Return whether this stream is stored."""
        async with self._redis_errors():
            return bool(await self._client.exists(self._keys[1]))

    async def status(self) -> StreamStatus | None:
        """Return the state of this stream; ``None`` if it is not stored."""
        async with self._redis_errors():
            about: Any = await cast("Any", self._client.hgetall(self._keys[1]))
            is_leased = bool(await self._client.exists(self._keys[2]))
        fields = {_text(name): _text(value) for name, value in about.items()}
        if "epoch" not in fields:
            return None
        last = int(fields["last"])
        state = fields.get("end") or ("running" if is_leased else "lost")
        return StreamStatus(
            cast("StreamState", state), last, f"{fields['epoch']}:{last}" if last else ""
        )

    async def stop(self) -> bool:
        """Mark this stream as stopped. Return whether it was running."""
        async with self._redis_errors():
            return bool(await self._stop(keys=self._keys, args=[self._settings.keep_ms]))

    async def publish(self, epoch: str, max_events: int, data: bytes | None) -> tuple[str, int]:
        """Append an event to a topic, which is created if necessary. Without data, add no event.

        Returns:
            Epoch of the topic, and the number of its newest event.
        """
        arguments: list[Any] = [epoch, self._settings.keep_ms, max_events]
        if data is not None:
            arguments.append(data)
        async with self._redis_errors():
            name, last = await self._publish(keys=self._keys, args=arguments)
        return _text(name), int(last)

    @asynccontextmanager
    async def _redis_errors(self, block_s: float = 0.0) -> AsyncGenerator[None]:
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        try:
            async with asyncio.timeout(self._settings.timeout_s + block_s):
                yield
        except TimeoutError:
            raise RedisDown(f"no reply within {self._settings.timeout_s:g} s") from None
        except (RedisError, OSError) as error:
            raise RedisDown(f"{type(error).__name__}: {error}") from error
        if task.cancelling() > cancelling:
            # The client uses asyncio.wait_for, which sometimes suppresses a cancellation before
            # Python 3.12. Without this check, the source would run forever.
            raise asyncio.CancelledError


def _quoted(key: str) -> str:
    """Return a unique name for ``key``. Long keys are replaced by their hash."""
    raw = key.encode("utf-8", "surrogatepass")
    # quote() escapes colons, so no other name begins with "sha256:".
    return (
        quote(raw, safe="") if len(raw) <= _MAX_KEY_BYTES else f"sha256:{sha256(raw).hexdigest()}"
    )


def _entry(ident: bytes | str, fields: Any) -> LogEntry:
    number = int(_text(ident).partition("-")[0])
    pairs = {_text(name): value for name, value in fields.items()}
    data = pairs.get("d", b"")
    end = _text(pairs["s"]) if "s" in pairs else None
    return LogEntry(
        number, data.encode() if isinstance(data, str) else data, cast("End | None", end)
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
