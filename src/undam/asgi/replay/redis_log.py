"""One stream in Redis: four keys, and the scripts that change them each in one step.

Keys, all in one cluster slot: ``events`` (a Redis stream; entry ``N-0`` is event N, field ``d`` its
bytes; the last entry has ``s``, how the stream ended), ``about`` (a hash: ``epoch``, ``last``,
``end``), ``lease`` (whose process runs the source; expires unless renewed) and ``readers`` (expires
``linger_s`` after anybody read).
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

# What one XREAD brings: bounded memory, few round trips for a reader who is far behind.
_PAGE = 200
# One read waits no longer for an event; then the producer is looked after.
_BLOCK_MS = 1000

# ARGV: token, epoch, lease_ms, keep_ms, linger_ms, may_start, may_go_on
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
# An event that is there already is left: the answer to an earlier try may have been lost.
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

# ARGV: token, what ('free' the lease, 'lost': nobody goes on, 'forget' all of it), keep_ms
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
"""What a process is to do with a stream: run its source, read along, or read what is there."""


class RedisDown(UndamError):
    """Redis did not answer in time, or not as it should."""


class OpenResult(NamedTuple):
    """What Redis says of a stream; ``last`` is the number of its newest event."""

    part: StreamRole
    epoch: str
    last: int


class LogEntry(NamedTuple):
    """Event ``number``, or where ``end`` is set, the stream's end."""

    number: int
    data: bytes
    end: End | None


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Times of every stream, in ms, and how long one command may take, in s."""

    prefix: str
    lease_ms: int
    linger_ms: int
    timeout_s: float

    @property
    def keep_ms(self) -> int:
        """How long keys outlive the last touch: a reader may come until the linger is over."""
        return self.linger_ms + 2 * self.lease_ms


class RedisLog:
    """The stream ``key``, as one process sees it.

    Every method raises `RedisDown` when Redis does not answer within ``timeout_s``.

    Args:
        token: names whoever holds the lease; no two productions share one.
    """

    def __init__(self, client: Redis, terms: RedisSettings, key: str, token: str) -> None:
        self._client = client
        self._settings = terms
        self._token = token
        # A client may give up a read by itself, and that is no sign of a dead Redis.
        own_s = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._longest_ms = _BLOCK_MS if own_s is None else min(_BLOCK_MS, max(1, int(own_s * 500)))
        # The braces make a cluster keep all four in one slot, and quoting keeps them unambiguous.
        name = f"{terms.prefix}{{{quote(key, safe='', errors='replace')}}}"
        self._keys = [f"{name}:{part}" for part in ("events", "about", "lease", "readers")]
        self._open = client.register_script(_OPEN)
        self._append = client.register_script(_APPEND)
        self._release = client.register_script(_RELEASE)

    async def open(self, epoch: str, *, may_start: bool, may_go_on: bool) -> OpenResult:
        """Find out this process's part, and take the lease if it is to produce.

        Args:
            may_start: begin the stream, as ``epoch``, if nobody has.
            may_go_on: run the source from the middle, if whoever ran it is gone.
        """
        terms = self._settings
        arguments: list[Any] = [self._token, epoch, terms.lease_ms, terms.keep_ms, terms.linger_ms]
        arguments += [int(may_start), int(may_go_on)]
        async with self._answering():
            part, name, last = await self._open(keys=self._keys, args=arguments)
        return OpenResult(cast("StreamRole", _text(part)), _text(name), int(last))

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
        """Keep ``events``, numbered from ``first``, and renew the lease.

        Args:
            oldest: number of the oldest event that needs to be kept.
            end: the stream ends with them.

        Returns:
            ``"ok"``, ``"ended"`` (somebody has declared it lost) or ``"taken"`` (somebody else
            holds the lease), and whether anybody has read within the linger.
        """
        terms = self._settings
        arguments: list[Any] = [self._token, epoch, terms.lease_ms, terms.keep_ms, terms.linger_ms]
        arguments += [int(has_readers), first, oldest, end or ""]
        async with self._answering():
            said, read = await self._append(keys=self._keys, args=[*arguments, *events])
        return _text(said), bool(read)

    async def read(self, after: int, block_ms: int | None) -> list[LogEntry]:
        """The entries after number ``after``; if there are none, wait for one.

        Args:
            block_ms: how long to wait at most, or shorter; ``None``: not at all.
        """
        if block_ms is not None:
            block_ms = min(block_ms, self._longest_ms)
        async with self._answering((block_ms or 0) / 1000):
            streams: Any = {self._keys[0]: f"{after}-0"}
            found: Any = await self._client.xread(streams, count=_PAGE, block=block_ms)
        if not found:
            return []
        # RESP2 gives pairs; RESP3, which a client may be set to, a mapping to lists of pages.
        pages = (
            [page for pages in found.values() for page in pages]
            if isinstance(found, dict)
            else [page for _, page in found]
        )
        return [_entry(ident, fields) for page in pages for ident, fields in page]

    async def touch(self) -> None:
        """Say that somebody reads."""
        async with self._answering():
            await self._client.set(self._keys[3], 1, px=self._settings.linger_ms)

    async def release(self, what: Literal["free", "lost", "forget"]) -> None:
        """Give up the lease, if it is still ours: for others to go on, or for nobody."""
        async with self._answering():
            await self._release(keys=self._keys, args=[self._token, what, self._settings.keep_ms])

    @asynccontextmanager
    async def _answering(self, waiting_s: float = 0.0) -> AsyncGenerator[None]:
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        try:
            async with asyncio.timeout(self._settings.timeout_s + waiting_s):
                yield
        except TimeoutError:
            raise RedisDown(f"no answer within {self._settings.timeout_s:g} s") from None
        except (RedisError, OSError) as error:
            raise RedisDown(f"{type(error).__name__}: {error}") from error
        if task.cancelling() > cancelling:
            # The client waits with asyncio.wait_for, which before Python 3.12 swallows it now and
            # then; a source would go on for ever.
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
