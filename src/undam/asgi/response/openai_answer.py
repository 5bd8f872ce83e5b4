"""The form of an OpenAI chat completion: strings in, ``chat.completion.chunk`` events out.

A heartbeat on such a stream is a comment and nothing else, and no event carries an id:
openai-python fails on a comment that follows one.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from undam.asgi.response.frames import PlainFrames, encode_json, error_json


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted; as an item of a source it is sent before the end, in a chunk of its own."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Why the model stopped; as an item of a source it replaces ``OpenAIAnswer.finish_reason``."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAnswer:
    """What the chunks of one answer say beside their content.

    Args:
        id: of the answer; a new one for each request if ``None``.
        created: Unix time in s; that of the request if ``None``.
        usage: sent before the end; an item `Usage` of the source replaces it.
    """

    model: str = "undam"
    id: str | None = None
    created: int | None = None
    role: str = "assistant"
    finish_reason: str = "stop"
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Further members of every chunk, such as ``system_fingerprint``."""


class ChatFrames(PlainFrames):
    """Strings become chunks with content; dicts and `Event` go as they are.

    The first chunk with content carries the role, too, so that the first event is the first token.
    """

    __slots__ = ("_begun", "_finish", "_head", "_role", "_tail", "_usage")

    def __init__(self, answer: OpenAIAnswer) -> None:
        super().__init__()
        self._head = {
            "id": answer.id or f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()) if answer.created is None else answer.created,
            "model": answer.model,
            **answer.extra,
        }
        # Only the content differs from chunk to chunk; the rest is made once.
        before, after = encode_json(
            {**self._head, "choices": [_choice({"content": ""})]}
        ).rsplit(b'""', 1)  # fmt: skip
        self._begun, self._tail = b"data: " + before, after + b"\n\n"
        self._role: str | None = answer.role
        self._finish = answer.finish_reason
        self._usage = answer.usage

    def encode(self, item: object) -> bytes:
        if isinstance(item, bytes | bytearray | memoryview):
            item = bytes(item).decode("utf-8", "replace")
        if isinstance(item, str):
            if self._role is None:
                return self._begun + encode_json(item) + self._tail
            return self._first(item)
        if isinstance(item, Usage):
            self._usage = item
            return b""
        if isinstance(item, Finish):
            self._finish = item.reason
            return b""
        return self.encode_other(item)

    def _first(self, text: str) -> bytes:
        role, self._role = self._role, None
        return self._chunk([_choice({"role": role, "content": text})])

    def _chunk(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return b"data: " + encode_json({**self._head, "choices": choices, **more}) + b"\n\n"

    def finish(self) -> bytes:
        parts = [self._first("")] if self._role is not None else []
        parts.append(self._chunk([_choice({}, self._finish)]))
        if self._usage is not None:
            prompt, completion = self._usage.prompt_tokens, self._usage.completion_tokens
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
            parts.append(self._chunk([], usage=usage))
        parts.append(b"data: [DONE]\n\n")
        return b"".join(parts)

    def error_event(self, message: str, kind: str) -> bytes:
        return b"data: " + error_json(message, kind) + b"\n\n"

    def gap_event(self, last_event_id: str) -> bytes:
        return self.error_event("The events after the last event id are gone.", "replay_gap")

    def continue_answer(self) -> None:
        self._role = None

    def shutdown_event(self) -> bytes:
        return self.error_event("The server is shutting down.", "server_shutdown")


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
