"""Groups of stream keys in Redis, for example the answers of one owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from hashlib import sha256
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from undam.asgi.replay.redis_log import RedisDown, RedisSettings

# Maximum number of keys in a group. The oldest keys are removed first.
_MAX_KEYS = 500
# Time after which a group expires if no stream is added. Most streams expire much earlier.
_KEEP_S = 86400


class RedisGroups:
    """Groups of stream keys, each stored as a sorted set, in the order in which keys were added.

    Every method raises `RedisDown` if Redis does not reply in time.
    """

    def __init__(self, client: Redis, settings: RedisSettings) -> None:
        self._client = client
        self._settings = settings

    async def add(self, group: str, key: str) -> None:
        """Add ``key`` to ``group`` as its newest member."""
        name = self._name(group)
        commands = self._client.pipeline(transaction=False)
        commands.zadd(name, {_raw(key): time.time()})
        commands.zremrangebyrank(name, 0, -_MAX_KEYS - 1)
        commands.expire(name, _KEEP_S)
        await self._within_limit(commands.execute())

    async def remove(self, group: str, key: str) -> None:
        """Remove ``key`` from ``group``."""
        await self._within_limit(cast("Any", self._client.zrem(self._name(group), _raw(key))))

    async def keys(self, group: str) -> list[str]:
        """Return the keys of ``group``, newest first."""
        found = await self._within_limit(
            cast("Any", self._client.zrevrange(self._name(group), 0, -1))
        )
        return [
            key if isinstance(key, str) else key.decode("utf-8", "surrogatepass") for key in found
        ]

    def _name(self, group: str) -> str:
        return f"{self._settings.prefix}group:{sha256(_raw(group)).hexdigest()}"

    async def _within_limit(self, command: Awaitable[Any]) -> Any:
        limit_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await command
        except TimeoutError:
            raise RedisDown(f"no reply within {limit_s:g} s") from None
        except (RedisError, OSError) as error:
            raise RedisDown(f"{type(error).__name__}: {error}") from error


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
