"""Application with `Answers` in Redis: POST starts an answer, GET reads it, DELETE stops it.

The owner is the query parameter ``as``. ``/running`` returns the answers whose source runs in this
process. The environment contains the URL of Redis and the lease.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from undam.asgi import Answers, EventStream
from undam.asgi.redis import RedisReplay

_state: dict[str, Any] = {}
_running: set[str] = set()


def _answers() -> Answers:
    if not _state:
        store = RedisReplay(
            os.environ["TEST_REDIS"], lease_s=float(os.environ["TEST_LEASE_S"]), linger_s=20
        )
        _state.update(store=store, answers=Answers(store))
    answers: Answers = _state["answers"]
    return answers


async def _numbers(name: str, count: int, first: int) -> AsyncIterator[str]:
    _running.add(name)
    try:
        for number in range(first, count):
            await asyncio.sleep(0.01)
            yield f"{number}"
    finally:
        _running.discard(name)


async def _reply(send: Any, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    query = dict(parse_qsl(scope["query_string"].decode()))
    owner, key = query.get("as", "anyone"), scope["path"][1:]
    count = int(query.get("count", "200"))
    answers = _answers()
    # After a restart, a reader in another process must be able to start the source.
    source_from = partial(_numbers, query.get("name", "answer"), count)
    if key == "running":
        await _reply(send, sorted(_running))
    elif key == "list":
        await _reply(send, [[one.key, one.state] for one in await answers.list(owner=owner)])
    elif key == "publish":
        await _reply(send, await answers.publish("news", query["text"]))
    elif key == "news":
        await EventStream(answers.subscribe("news"))(scope, receive, send)
    elif scope["method"] == "POST":
        answer = await answers.start(lambda: source_from(0), owner=owner, source_from=source_from)
        await EventStream(answer, heartbeat=1)(scope, receive, send)
    elif scope["method"] == "DELETE":
        await _reply(send, await answers.stop(key, owner=owner))
    else:
        answer = answers.attach(key, owner=owner, source_from=source_from)
        await EventStream(answer, heartbeat=1)(scope, receive, send)


async def _live(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.shutdown" and "store" in _state:
            await _state["store"].aclose()
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
