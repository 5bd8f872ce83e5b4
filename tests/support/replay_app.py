"""Application with streams that are stored in Redis: ``/KEY?count=N&gap=S`` counts from 0.

With ``&go_on=0`` no other process can continue the stream. The environment contains the URL of
Redis and the time limits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

from undam.asgi import EventStream
from undam.asgi.redis import RedisReplay

_replay: RedisReplay | None = None


def _store() -> RedisReplay:
    global _replay  # noqa: PLW0603 (one per process, created in its loop)
    if _replay is None:
        _replay = RedisReplay(
            os.environ["TEST_REDIS"],
            lease_s=float(os.environ["TEST_LEASE_S"]),
            linger_s=float(os.environ.get("TEST_LINGER_S", "20")),
        )
    return _replay


async def _numbers(first: int, count: int, gap: float) -> AsyncIterator[str]:
    for number in range(first, count):
        await asyncio.sleep(gap)
        yield f"{number} of {os.getpid()}"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    query = dict(parse_qsl(scope["query_string"].decode()))
    count, gap = int(query.get("count", "100")), float(query.get("gap", "0.01"))
    stream = EventStream(
        lambda: _numbers(0, count, gap),
        replay=_store(),
        replay_key=scope["path"],
        source_from=None if query.get("go_on") == "0" else lambda n: _numbers(n, count, gap),
        heartbeat=1,
    )
    await stream(scope, receive, send)


async def _live(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.shutdown" and _replay is not None:
            await _replay.aclose()
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
