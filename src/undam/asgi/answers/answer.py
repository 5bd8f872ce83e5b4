"""`Answer`, a stored answer, and `AnswerReading`, one request that reads it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, cast

from undam.asgi.interface import Scope
from undam.asgi.replay.interface import AnswerStore, AttachMode, Replay, StoredEvent
from undam.asgi.replay.resume import (
    SourceProducer,
    TaskScope,
    last_event_id,
    preceded_by,
    read_after,
    read_from_start,
    read_topic,
)
from undam.asgi.response.frames import EncodingFrames, Frames, PlainFrames
from undam.asgi.response.items import Encode
from undam.asgi.response.openai_answer import ChatFrames, OpenAIAnswer
from undam.asgi.response.ui_streams import (
    AgUiFrames,
    AgUiRun,
    UIMessageAnswer,
    UIMessageFrames,
)
from undam.errors import UsageError
from undam.sse import encode_json

ANSWER_KEY = b"answer-key"
"""Response header with the key of an answer, for the page that wants to resume or stop it."""

_MISSING = frozenset({"None", "null", "undefined", "nan", "NaN", "AnonymousUser"})
_SEPARATORS = re.compile(r"[:/|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer in a replay store. Endpoints return it as ``EventStreamResponse(answer)``.

    Each response reads the answer from its start, or after the request's last event ID. Created by
    `Answers`.

    Attributes:
        key: key of the answer, or the name of the topic.
        announced: this response reports the key, in the header ``Answer-Key`` and, if the answer
            consists of plain events, in a first event of type ``answer``.
    """

    store: Replay | AnswerStore
    key: str
    name: str
    mode: AttachMode
    answer: AnswerFormat | None = None
    source: Any = None
    source_from: Any = None
    task_scope: TaskScope | None = None
    encode: Encode | None = None
    announced: bool = False
    is_topic: bool = False

    def reading(self, scope: Scope, *, expose_errors: bool) -> AnswerReading:
        """Return an unopened `AnswerReading` for the request with this ``scope``."""
        return AnswerReading(self, scope, expose_errors=expose_errors)

    def producer(self, frames: Frames, *, expose_errors: bool) -> SourceProducer:
        """Return a producer that runs ``source`` and encodes its items with ``frames``."""
        return SourceProducer(
            self.source,
            frames,
            expose_errors=expose_errors,
            source_from=self.source_from,
            task_scope=self.task_scope,
        )

    def frames(self) -> Frames:
        """Return an encoder whose answer ID depends only on the answer, not on the process."""
        answer = self.answer
        if isinstance(answer, OpenAIAnswer) and answer.id is None:
            digest = sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()
            answer = replace(answer, id=f"chatcmpl-{digest[:32]}")
        return frames_for(answer, self.encode)


class AnswerReading:
    """One request that reads an `Answer`."""

    def __init__(self, stored: Answer, scope: Scope, *, expose_errors: bool) -> None:
        self.frames = stored.frames()
        self._stored = stored
        self._scope = scope
        self._produce = stored.producer(self.frames, expose_errors=expose_errors)

    async def open(self) -> AsyncGenerator[StoredEvent | bytes, None]:
        """Return the stored events that this request has not received yet.

        Raises:
            ReplayGap, ReplayOver: as for `Replay.attach`.
        """
        stored, produce, frames = self._stored, self._produce, self.frames
        last_id = last_event_id(self._scope)
        if stored.is_topic:
            store = cast("AnswerStore", stored.store)
            return await read_topic(store, stored.name, last_id, frames)
        if stored.mode == "existing":
            events = await read_after(
                stored.store, stored.name, last_id, produce, frames, mode="existing"
            )
            if stored.announced and last_id is None and stored.answer is None:
                first = b"event: answer\ndata: " + encode_json({"key": stored.key}) + b"\n\n"
                return preceded_by(first, events)
            return events
        if last_id is None:
            # A POST without an event ID asks a new question, whereas a GET joins the running
            # answer.
            mode: AttachMode = "join" if self._scope["method"] == "GET" else "new"
            return read_from_start(stored.store, stored.name, produce, frames, mode=mode)
        return await read_after(stored.store, stored.name, last_id, produce, frames)

    async def close_unused(self) -> None:
        """Close the source if the store has not started it. Called after the request."""
        if self._stored.mode != "existing":
            await self._produce.close_unused()


AnswerFormat = OpenAIAnswer | UIMessageAnswer | AgUiRun
"""Format of an answer, other than plain events."""

FORMATS: tuple[type[AnswerFormat], ...] = (OpenAIAnswer, UIMessageAnswer, AgUiRun)


def format_of(openai: bool | OpenAIAnswer, protocol: AnswerFormat | None) -> AnswerFormat | None:
    """Return the answer format that one of the arguments selects; ``None`` for plain events.

    Raises:
        UsageError: both arguments choose one.
    """
    chosen = OpenAIAnswer() if openai is True else openai or None
    if chosen is not None and protocol is not None:
        raise UsageError("openai and protocol both choose a format; pass only one of them")
    return chosen or protocol


def frames_for(answer: AnswerFormat | None, encode: Encode | None) -> Frames:
    """Return a new encoder for the items of one stream."""
    frames: Frames
    match answer:
        case OpenAIAnswer():
            frames = ChatFrames(answer)
        case UIMessageAnswer():
            frames = UIMessageFrames(answer)
        case AgUiRun():
            frames = AgUiFrames(answer)
        case _:
            frames = PlainFrames()
    return frames if encode is None else EncodingFrames(frames, encode)


def check_key(key: object, what: str) -> str:
    """Return ``key`` unchanged if it is usable as the key of one stream.

    Raises:
        UsageError: it is not text, blank, or the text of a missing value, as a whole or in a part,
            as in ``user:None``. Two users without an ID would share one stream.
    """
    if not isinstance(key, str) or not key.strip():
        raise UsageError(f"{what} must be non-blank text, not {key!r}")
    if any(part.strip() in _MISSING for part in _SEPARATORS.split(key)):
        raise UsageError(f"{what} is {key!r}; probably a missing ID was converted to text")
    return key
