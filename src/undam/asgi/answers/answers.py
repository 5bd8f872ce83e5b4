"""`Answers`: start, read, resume, stop and list the answers of an application."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, overload
from uuid import UUID

from undam.asgi.answers.answer import (
    FORMATS,
    Answer,
    AnswerFormat,
    check_key,
    format_of,
    frames_for,
)
from undam.asgi.replay.interface import AnswerStore, StoreUnavailable, StreamState
from undam.asgi.replay.resume import SourceFrom, TaskScope
from undam.asgi.response.defaults import stream_defaults
from undam.asgi.response.items import AnyItems, AnySource, Encode, Item, Source
from undam.asgi.response.openai_answer import OpenAIAnswer
from undam.asgi.response.source import check_source, is_iterator
from undam.errors import UsageError

Owner = str | int | UUID | None
"""Owner of answers, such as a user ID; ``None`` for everyone who knows the key."""

# The key contains the answer format, so that a reader in any process encodes errors in this format.
_PLAIN = "answer-"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class AnswerStatus:
    """State of a stored answer.

    Attributes:
        key: key of the answer.
        state: ``running``, ``complete``, ``failed``, ``stopped``, or ``lost`` (its process died).
        events: number of its events so far.
        last_event_id: ID of the newest event; empty before the first.
    """

    key: str
    state: StreamState
    events: int
    last_event_id: str


class Answers:
    """Stored answers of an application, each under its own key.

    An answer does not belong to the request that started it: it runs until it ends, is stopped, or
    has had no reader for the store's ``linger_s`` seconds. The key is a random secret that `start`
    creates. A later request reads or stops the answer with the key and the same owner; for any
    other owner, the answer does not exist.

        answers = Answers(MemoryReplay())

        @app.post("/chat")
        async def ask(question: Question, user: User) -> EventStreamResponse:
            return EventStreamResponse(await answers.start(tokens(question), owner=user.id))

        @app.get("/answers/{key}")
        async def read(key: str, user: User) -> EventStreamResponse:
            return EventStreamResponse(answers.attach(key, owner=user.id))

        @app.delete("/answers/{key}")
        async def stop(key: str, user: User) -> bool:
            return await answers.stop(key, owner=user.id)

    Args:
        store: a `MemoryReplay`, or an `undam.asgi.redis.RedisReplay` for several processes.
        openai, protocol: format of the answers, as for `EventStream`.
        task_scope: resources of every source, as for `EventStream`.
        encode: conversion of the items of every source, as for `EventStream`.
    """

    def __init__(
        self,
        store: AnswerStore,
        *,
        openai: bool | OpenAIAnswer = False,
        protocol: AnswerFormat | None = None,
        task_scope: TaskScope | None = None,
        encode: Encode | None = None,
    ) -> None:
        self._store = store
        self._format = format_of(openai, protocol)
        self._task_scope = task_scope
        self._encode = encode

    @overload
    async def start(
        self,
        source: Source,
        *,
        owner: Owner,
        openai: bool | OpenAIAnswer | None = None,
        protocol: AnswerFormat | None = None,
        source_from: SourceFrom | None = None,
    ) -> Answer: ...
    @overload
    async def start(
        self,
        source: AnySource | Callable[[Any], AnyItems],
        *,
        owner: Owner,
        openai: bool | OpenAIAnswer | None = None,
        protocol: AnswerFormat | None = None,
        source_from: Callable[[int, Any], AnyItems] | SourceFrom | None = None,
        task_scope: TaskScope | None = None,
        encode: Encode | None = None,
    ) -> Answer: ...
    async def start(  # noqa: PLR0913 (independent options, all by keyword)
        self,
        source: Any,
        *,
        owner: Owner,
        openai: bool | OpenAIAnswer | None = None,
        protocol: AnswerFormat | None = None,
        source_from: Any = None,
        task_scope: TaskScope | None = None,
        encode: Encode | None = None,
    ) -> Answer:
        """Start ``source`` in the background, under a new key, and return its answer.

        The response of the returned answer reports the key in the header ``Answer-Key``, and unless
        the answer has OpenAI's format, in a first event of type ``answer``.

        Args:
            owner: who may read and stop the answer.
            openai, protocol, source_from, task_scope, encode: as for `EventStream`.

        Raises:
            UsageError: an argument is invalid.
        """
        check_source(source)
        scope = task_scope or self._task_scope
        if scope is not None and (not callable(source) or is_iterator(source)):
            raise UsageError(
                "source must be a function, because it receives the value of task_scope"
            )
        answer = self._format
        if openai is not None or protocol is not None:
            answer = format_of(openai or False, protocol)
        key = (_PLAIN if answer is None else answer.key_prefix) + secrets.token_urlsafe(_KEY_BYTES)
        stored = Answer(
            store=self._store,
            key=key,
            name=_name(owner, key),
            mode="existing",
            answer=answer,
            source=source,
            source_from=source_from,
            task_scope=scope,
            encode=encode or self._encode,
            announced=True,
        )
        produce = stored.producer(stored.frames(), expose_errors=stream_defaults().expose_errors)
        # The returned reader has not been started, so it needs no cleanup.
        await self._store.attach(stored.name, None, produce)
        if owner is not None:
            # A failure to list the answer must not prevent it from running.
            with contextlib.suppress(StoreUnavailable):
                await self._store.remember(_group(owner), stored.name)
        return stored

    def attach(
        self,
        key: str,
        *,
        owner: Owner,
        source_from: Any = None,
        task_scope: TaskScope | None = None,
    ) -> Answer:
        """Return the answer under ``key`` for another response, for example after a page reload.

        The response starts after the request's last event ID, else with the first event. Its status
        is 404 if the answer does not exist or belongs to another owner, and 204 if everything was
        read.

        Args:
            source_from: allows this process to continue the answer if the process that runs it
                dies, as for `EventStream`.
        """
        answer = next((kind() for kind in FORMATS if key.startswith(kind.key_prefix)), None)
        return Answer(
            store=self._store,
            key=key,
            name=_name(owner, key),
            mode="existing",
            answer=answer,
            source=(),
            source_from=source_from,
            task_scope=task_scope or self._task_scope if source_from is not None else None,
            encode=self._encode,
        )

    async def status(self, key: str, *, owner: Owner) -> AnswerStatus | None:
        """Return the state of an answer; ``None`` if it is unknown or belongs to another owner."""
        found = await self._store.status(_name(owner, key))
        if found is None:
            return None
        return AnswerStatus(key, found.state, found.events, found.last_event_id)

    async def stop(self, key: str, *, owner: Owner) -> bool:
        """Stop an answer, even if another process runs it. Return whether it was running.

        Its readers receive ``event: stopped`` and a clean end (in OpenAI's format, an error of type
        ``answer_stopped``). The source is cancelled. In another process, this happens at its next
        event, or within a third of ``lease_s``.
        """
        return await self._store.stop(_name(owner, key))

    async def list(self, *, owner: Owner) -> list[AnswerStatus]:
        """Return the stored answers of ``owner``, newest first.

        Raises:
            UsageError: ``owner`` is None. Answers without an owner are secret and have no list.
        """
        if owner is None:
            raise UsageError("answers without an owner cannot be listed")
        return [
            AnswerStatus(name.partition("/")[2], found.state, found.events, found.last_event_id)
            for name, found in await self._store.list_group(_group(owner))
        ]

    async def publish(self, topic: str, item: Item) -> str:
        """Send ``item`` as one event to every reader of ``topic``, and return its ID.

        A topic needs no source and no start. Readers attach with `subscribe`.

        Raises:
            UsageError: ``topic`` is blank, or ``item`` is not one event.
        """
        data = frames_for(None, self._encode).encode(item)
        if not data or data.count(b"\n\n") != 1:
            raise UsageError("publish takes one event: text, a dict, an Event or another item")
        return await self._store.publish(check_key(topic, "topic"), data)

    def subscribe(self, topic: str) -> Answer:
        """Return the events of ``topic``, to be sent in a response.

        It starts after the request's last event ID, else with the next event.
        """
        name = check_key(topic, "topic")
        return Answer(
            store=self._store, key=name, name=name, mode="existing", source=(), is_topic=True
        )

    async def close(self, topic: str) -> bool:
        """End ``topic`` for its readers. Return whether it was open."""
        return await self._store.stop(check_key(topic, "topic"))


def _name(owner: Owner, key: str) -> str:
    """Return the key in the store, which is unique for each pair of owner and answer key."""
    return f"{_group(owner)}/{key}"


def _group(owner: Owner) -> str:
    if owner is None:
        return "everyone"
    if isinstance(owner, bool):
        raise UsageError("owner is a bool, which is not the ID of a user")
    text = check_key(str(owner) if isinstance(owner, int | UUID) else owner, "owner")
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
