"""Encoding of strings as an OpenAI chat completion with ``chat.completion.chunk`` events.

On such a stream, every heartbeat is a plain comment and no event has an ID, because openai-python
fails on a comment that follows an event ID.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from undam.asgi.response.frames import PlainFrames, encode_json, error_json


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. If a source yields them, they are sent in a separate chunk before the end."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Finish reason. If a source yields it, it replaces ``OpenAIAnswer.finish_reason``."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAnswer:
    """Metadata in the chunks of one answer.

    Args:
        id: ID of the answer; with ``None``, an ID is generated for each request.
        created: Unix time in seconds; with ``None``, the time of the request is used.
        usage: token counts to send before the end, unless the source yields a `Usage`.
        extra: additional fields of every chunk, such as ``system_fingerprint``.
    """

    model: str = "undam"
    id: str | None = None
    created: int | None = None
    role: str = "assistant"
    finish_reason: str = "stop"
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class ChatFrames(PlainFrames):
    """Encoder that turns strings into chunks with content; a dict or `Event` is sent unchanged.

    The first chunk with content also contains the role, so that the first event is the first token.
    """

    __slots__ = ("_finish", "_head", "_prefix", "_role", "_suffix", "_usage")

    def __init__(self, answer: OpenAIAnswer) -> None:
        super().__init__()
        self._head = {
            "id": answer.id or f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()) if answer.created is None else answer.created,
            "model": answer.model,
            **answer.extra,
        }
        # Only the content differs between chunks, so all other fields are encoded once.
        before, after = encode_json(
            {**self._head, "choices": [_choice({"content": ""})]}
        ).rsplit(b'""', 1)  # fmt: skip
        self._prefix, self._suffix = b"data: " + before, after + b"\n\n"
        self._role: str | None = answer.role
        self._finish = answer.finish_reason
        self._usage = answer.usage

    def encode(self, item: object) -> bytes:
        if isinstance(item, bytes | bytearray | memoryview):
            item = bytes(item).decode("utf-8", "replace")
        if isinstance(item, str):
            if self._role is None:
                return self._prefix + encode_json(item) + self._suffix
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
        return self.error_event(
            "The events after the last event ID are no longer available.", "replay_gap"
        )

    def continue_answer(self) -> None:
        self._role = None

    def shutdown_event(self) -> bytes:
        return self.error_event("The server is shutting down.", "server_shutdown")


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
