"""One stream in Redis: its four keys, and the scripts that change them atomically.

All four keys are in the same cluster slot:

- ``events``: a Redis stream. Entry ``N-0`` is event N, with its bytes in the field ``d``. The field
  ``s`` of the last entry contains the end of the stream.
- ``about``: a hash with ``epoch``, ``last`` and ``end``.
- ``lease``: the token of the process that runs the source. It expires unless renewed.
- ``readers``: expires ``linger_s`` seconds after the last read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import RedisError

from undam.asgi.replay.stream_channel import End
from undam.errors import UndamError

# Maximum events per XREAD. It bounds memory and keeps the number of round trips low for a reader
# that is far behind.
_PAGE = 200
# Maximum duration of a blocking read, after which the producer's lease is checked.
_BLOCK_MS = 1000

# ARGV: token, epoch, lease_ms, keep_ms, linger_ms, may_start, may_continue
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
# Existing events are skipped, because the reply to an earlier attempt may have been lost.
_APPEND = """
local events, about, lease, readers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch = redis.call('HGET', about, 'epoch')
if not epoch then
  redis.call('DEL', events)
  redis.call('HSET', about, 'epoch', ARGV[2], 'last', 0)
elseif epoch ~= ARGV[2] then
  return {'taken', 0}
end
if redis.call('HEXISTS', about, 'end') == 1 then return {'ended', 0} end
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
return {'ok', redis.call('EXISTS', readers)}
"""

# ARGV: token, what ('free': delete the lease, 'lost': also end the stream, 'forget': delete all),
# keep_ms
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


class RedisDown(UndamError):
    """Redis did not reply in time, or replied with an error."""


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
    """Event ``number``, or the end of the stream if ``end`` is set."""

    number: int
    data: bytes
    end: End | None


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Settings of a `RedisReplay`: key prefix, times in ms, and time limit per command in s."""

    prefix: str
    lease_ms: int
    linger_ms: int
    timeout_s: float

    @property
    def keep_ms(self) -> int:
        """Expiry of the keys after the last write, which exceeds the linger time of readers."""
        return self.linger_ms + 2 * self.lease_ms


class RedisLog:
    """Client of one process for the stream ``key``.

    Every method raises `RedisDown` if Redis does not reply within ``timeout_s``.

    Args:
        token: identifies the holder of the lease; every run of a source has a different one.
    """

    def __init__(self, client: Redis, settings: RedisSettings, key: str, token: str) -> None:
        self._client = client
        self._settings = settings
        self._token = token
        # A blocking read must end before the client's own socket timeout, which could not be
        # distinguished from an outage of Redis.
        own_s = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._max_block_ms = (
            _BLOCK_MS if own_s is None else min(_BLOCK_MS, max(1, int(own_s * 500)))
        )
        # The braces put all four keys in one cluster slot. Quoting keeps the names unambiguous.
        name = f"{settings.prefix}{{{quote(key, safe='', errors='replace')}}}"
        self._keys = [f"{name}:{part}" for part in ("events", "about", "lease", "readers")]
        self._open = client.register_script(_OPEN)
        self._append = client.register_script(_APPEND)
        self._release = client.register_script(_RELEASE)

    async def open(self, epoch: str, *, may_start: bool, may_continue: bool) -> OpenResult:
        """Determine the role of this process, and take the lease if the role is ``produce``.

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
        arguments += [int(may_start), int(may_continue)]
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
            ``"ended"`` (another process has ended the stream as lost) or ``"taken"`` (another
            process holds the lease).
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
        """Return the entries after number ``after``; if there are none, wait for an entry.

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
        # RESP2 returns pairs. RESP3, which a client may enable, maps names to lists of pages.
        pages = (
            [page for pages in found.values() for page in pages]
            if isinstance(found, dict)
            else [page for _, page in found]
        )
        return [_entry(ident, fields) for page in pages for ident, fields in page]

    async def touch(self) -> None:
        """Record that the stream has a reader."""
        async with self._redis_errors():
            await self._client.set(self._keys[3], 1, px=self._settings.linger_ms)

    async def release(self, what: Literal["free", "lost", "forget"]) -> None:
        """Release the lease if this process still holds it.

        Args:
            what: ``free`` allows another process to continue, ``lost`` ends the stream, and
                ``forget`` deletes it.
        """
        async with self._redis_errors():
            await self._release(keys=self._keys, args=[self._token, what, self._settings.keep_ms])

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
            # The client uses asyncio.wait_for, which before Python 3.12 sometimes suppresses a
            # cancellation. The source would then run forever.
            raise asyncio.CancelledError


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
