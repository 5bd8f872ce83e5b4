"""Encoding of strings as an OpenAI chat completion, in ``chat.completion.chunk`` events.

On such a stream, every heartbeat is a plain comment and no event has an ID, because openai-python
fails on a comment that follows an event ID.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from undam.asgi.response.frames import PlainFrames, encode_framed
from undam.asgi.response.items import is_framed
from undam.asgi.response.langchain_items import message_chunk, text_of, tool_call_deltas
from undam.asgi.response.refusal import error_body
from undam.sse import encode_json

_DONE_DATA, _DONE_EVENT = "[DONE]", "data: [DONE]\n\n"
_HEAD = ("id", "created", "model")


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. If a source yields an instance, it is sent in its own chunk before the end."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Finish reason. If a source yields an instance, it replaces ``OpenAIAnswer.finish_reason``."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAnswer:
    """Metadata for the chunks of one answer.

    Args:
        id: ID of the answer; with ``None``, an ID is generated for each request.
        created: Unix time in seconds; with ``None``, the time of the request is used.
        usage: token counts to send before the end, unless the source yields a `Usage`.
        extra: additional fields of every chunk, such as ``system_fingerprint``.
    """

    key_prefix: ClassVar[str] = "chat-"
    headers: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()

    model: str = "undam"
    id: str | None = None
    created: int | None = None
    role: str = "assistant"
    finish_reason: str = "stop"
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class ChatFrames(PlainFrames):
    """Encoder that turns strings into chat completion chunks.

    The first chunk with content also contains the role, so that the first event is the first token.
    The chunks of another model (dicts or objects of openai-python) are passed on unchanged. If one
    of them carried a finish reason, only ``[DONE]`` is added at the end.
    """

    __slots__ = ("_done", "_finish", "_finished", "_head", "_prefix", "_role", "_suffix", "_usage")

    def __init__(self, answer: OpenAIAnswer) -> None:
        super().__init__()
        self._finish = answer.finish_reason
        self._usage = answer.usage
        self._role: str | None = answer.role
        self._finished = self._done = False
        self._set_head(
            {
                "id": answer.id or f"chatcmpl-{uuid.uuid4().hex}",
                "object": "chat.completion.chunk",
                "created": int(time.time()) if answer.created is None else answer.created,
                "model": answer.model,
                **answer.extra,
            }
        )

    def _set_head(self, head: dict[str, Any]) -> None:
        self._head = head
        # Chunks differ only in their content, so all other fields are encoded once.
        before, after = encode_json({**head, "choices": [_choice({"content": ""})]}).rsplit(
            b'""', 1
        )
        self._prefix, self._suffix = b"data: " + before, after + b"\n\n"

    def encode(self, item: object) -> bytes:
        if isinstance(item, bytes | bytearray | memoryview):
            item = bytes(item).decode("utf-8", "replace")
        if isinstance(item, str):
            return self._encode_content(item)
        if isinstance(item, Usage):
            self._usage = item
            return b""
        if isinstance(item, Finish):
            self._finish = item.reason
            return b""
        if (message := message_chunk(item)) is not None:
            return self._encode_message(message)
        if isinstance(item, Mapping) or hasattr(item, "model_dump"):
            return self._pass_on(item)
        return self.encode_other(item)

    def _encode_content(self, item: str) -> bytes:
        if isinstance(item, Enum):
            item = str(item.value)
        # Clients ignore everything after [DONE]. No model sends this text as a token.
        if item in {_DONE_DATA, _DONE_EVENT}:
            self._done = self._finished = True
            return _DONE_EVENT.encode()
        if item.startswith("data: ") and is_framed(item) and self._note_framed(item):
            return encode_framed(item)
        if self._role is None:
            return self._prefix + encode_json(item) + self._suffix
        return self._first(item)

    def _encode_message(self, message: Any) -> bytes:
        """Encode a chunk from LangChain's ``astream``, or from LangGraph's mode ``messages``."""
        if usage := getattr(message, "usage_metadata", None):
            self._usage = Usage(usage["input_tokens"], usage["output_tokens"])
        metadata = getattr(message, "response_metadata", None) or {}
        if reason := metadata.get("finish_reason") or metadata.get("stop_reason"):
            self._finish = str(reason)
        parts = [self._encode_content(text)] if (text := text_of(message)) else []
        if calls := tool_call_deltas(message):
            delta: dict[str, Any] = {"tool_calls": calls}
            if self._role is not None:
                delta, self._role = {"role": self._role, "content": None, **delta}, None
            parts.append(self._chunk([_choice(delta)]))
            if self._finish == "stop":
                self._finish = "tool_calls"
        return b"".join(parts)

    def _is_event_of_another_library(self, item: object) -> bool:
        return not isinstance(item, Mapping) and super()._is_event_of_another_library(item)

    def _pass_on(self, item: object) -> bytes:
        if self._is_event_of_another_library(item):
            return self.encode_other(item)
        data = encode_json(item)
        self._note_chunk(item if isinstance(item, Mapping) else json.loads(data))
        return b"data: " + data + b"\n\n"

    def _note_framed(self, text: str) -> bool:
        """Record which chunks the framed events contain. Return whether they contain any."""
        lines = text.splitlines()
        chunks = [one for one in map(_parsed, lines) if _is_chunk(one)]
        for chunk in chunks:
            self._note_chunk(chunk)
        if chunks:
            self._done = self._done or _DONE_EVENT.rstrip() in lines
        return bool(chunks)

    def _note_chunk(self, chunk: Any) -> None:
        """Record that another model sends the role, and possibly a finish reason."""
        if not _is_chunk(chunk):
            return
        choices: Any = chunk["choices"]
        self._role = None
        self._finished = self._finished or any(
            isinstance(one, Mapping) and one.get("finish_reason") for one in choices
        )
        if not self._finished and isinstance(chunk.get("id"), str):
            # If this encoder must add a finish chunk, that chunk repeats the answer ID.
            self._head = {**self._head, **{key: chunk[key] for key in _HEAD if key in chunk}}

    def _first(self, text: str) -> bytes:
        role, self._role = self._role, None
        return self._chunk([_choice({"role": role, "content": text})])

    def _chunk(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return b"data: " + encode_json({**self._head, "choices": choices, **more}) + b"\n\n"

    def finish(self) -> bytes:
        if self._done:
            return b""
        parts: list[bytes] = []
        if not self._finished:
            if self._role is not None:
                parts.append(self._first(""))
            parts.append(self._chunk([_choice({}, self._finish)]))
        if self._usage is not None:
            prompt, completion = self._usage.prompt_tokens, self._usage.completion_tokens
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
            parts.append(self._chunk([], usage=usage))
        parts.append(_DONE_EVENT.encode())
        return b"".join(parts)

    def error_event(self, message: str, kind: str) -> bytes:
        return b"data: " + error_body(message, kind) + b"\n\n"

    def stopped_event(self) -> bytes:
        return self.error_event("The answer was stopped.", "answer_stopped")

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


def _is_chunk(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("choices"), list | tuple)


def _parsed(line: str) -> object:
    if not line.startswith("data:"):
        return None
    try:
        return json.loads(line[5:])
    except ValueError:
        return None
