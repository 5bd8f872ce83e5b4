"""User interface formats: the AI SDK's UI message stream, and AG-UI.

In both, text arrives in parts that are opened and closed, between a start and a finish. A source
yields strings; everything else that it yields is sent as it is, after the open part was closed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from undam.asgi.response.frames import PlainFrames
from undam.asgi.response.items import Raw
from undam.sse import Comment, Event, ReconnectHint, encode_json


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class UIMessageAnswer:
    """Answer in the AI SDK's UI message stream format (version 5), for ``useChat``.

    Args:
        id: ID of the message; by default a new one.
    """

    key_prefix: ClassVar[str] = "ui-"
    headers: ClassVar[tuple[tuple[bytes, bytes], ...]] = (
        (b"x-vercel-ai-ui-message-stream", b"v1"),
    )

    id: str = field(default_factory=_new_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgUiRun:
    """Run of an agent, in the AG-UI protocol.

    Args:
        thread_id: ID of the conversation, from the request.
        run_id: ID of the run, from the request; by default a new one.
    """

    key_prefix: ClassVar[str] = "agui-"
    headers: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()

    thread_id: str = field(default_factory=_new_id)
    run_id: str = field(default_factory=_new_id)


class PartFrames(PlainFrames):
    """Encoder that opens and closes text parts. Subclasses define the event names."""

    __slots__ = ("_finished", "_is_open", "_part", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._started = self._finished = self._is_open = False
        self._part = 0

    def _start(self) -> dict[str, Any]:
        raise NotImplementedError

    def _open(self) -> dict[str, Any]:
        raise NotImplementedError

    def _delta(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def _close(self) -> dict[str, Any]:
        raise NotImplementedError

    def _note(self, kind: str) -> None:
        """Record the type of an event that the source itself sent."""
        raise NotImplementedError

    def encode(self, item: object) -> bytes:
        if isinstance(item, bytes | bytearray | memoryview):
            item = bytes(item).decode("utf-8", "replace")
        if isinstance(item, str):
            return self._encode_part(item)
        if item is None or isinstance(item, Raw | Comment | ReconnectHint | Event):
            return self.encode_other(item)
        data = encode_json(item)
        fields: Any = item if isinstance(item, Mapping) else json.loads(data)
        kind = fields.get("type") if isinstance(fields, Mapping) else None
        self._note(str(kind))
        return self._begun() + self._closed() + b"data: " + data + b"\n\n"

    def _encode_part(self, text: str) -> bytes:
        if not text:
            return b""
        head = self._begun()
        if not self._is_open:
            self._is_open = True
            self._part += 1
            head += _frame(self._open())
        return head + _frame(self._delta(text))

    def _begun(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return _frame(self._start())

    def _closed(self) -> bytes:
        if not self._is_open:
            return b""
        self._is_open = False
        return _frame(self._close())

    def continue_answer(self) -> None:
        # Start a new part for further text, because it is unknown whether a part is still open.
        self._started = True
        self._part = 1000

    def gap_event(self, last_event_id: str) -> bytes:
        return self.error_event("The missed events are no longer available.", "replay_gap")

    def shutdown_event(self) -> bytes:
        return self.error_event("The server is shutting down.", "server_shutdown")


class UIMessageFrames(PartFrames):
    """Encoder for the AI SDK's UI message stream."""

    __slots__ = ("_id",)

    def __init__(self, answer: UIMessageAnswer) -> None:
        super().__init__()
        self._id = answer.id

    def _start(self) -> dict[str, Any]:
        return {"type": "start", "messageId": self._id}

    def _open(self) -> dict[str, Any]:
        return {"type": "text-start", "id": str(self._part)}

    def _delta(self, text: str) -> dict[str, Any]:
        return {"type": "text-delta", "id": str(self._part), "delta": text}

    def _close(self) -> dict[str, Any]:
        return {"type": "text-end", "id": str(self._part)}

    def _note(self, kind: str) -> None:
        self._started = self._started or kind == "start"
        self._finished = self._finished or kind in {"finish", "abort"}

    def finish(self) -> bytes:
        end = b"" if self._finished else _frame({"type": "finish"})
        return self._begun() + self._closed() + end + b"data: [DONE]\n\n"

    def error_event(self, message: str, kind: str) -> bytes:
        return _frame({"type": "error", "errorText": message})

    def stopped_event(self) -> bytes:
        return self._closed() + _frame({"type": "abort"}) + b"data: [DONE]\n\n"


class AgUiFrames(PartFrames):
    """Encoder for AG-UI."""

    __slots__ = ("_run",)

    def __init__(self, run: AgUiRun) -> None:
        super().__init__()
        self._run = run

    @property
    def _message_id(self) -> str:
        return f"{self._run.run_id}-{self._part}"

    def _named(self, kind: str) -> dict[str, Any]:
        return {"type": kind, "threadId": self._run.thread_id, "runId": self._run.run_id}

    def _start(self) -> dict[str, Any]:
        return self._named("RUN_STARTED")

    def _open(self) -> dict[str, Any]:
        kind = "TEXT_MESSAGE_START"
        return {"type": kind, "messageId": self._message_id, "role": "assistant"}

    def _delta(self, text: str) -> dict[str, Any]:
        return {"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message_id, "delta": text}

    def _close(self) -> dict[str, Any]:
        return {"type": "TEXT_MESSAGE_END", "messageId": self._message_id}

    def _note(self, kind: str) -> None:
        self._started = self._started or kind == "RUN_STARTED"
        self._finished = self._finished or kind in {"RUN_FINISHED", "RUN_ERROR"}

    def finish(self) -> bytes:
        end = b"" if self._finished else _frame(self._named("RUN_FINISHED"))
        return self._begun() + self._closed() + end

    def error_event(self, message: str, kind: str) -> bytes:
        return _frame({"type": "RUN_ERROR", "message": message, "code": kind})

    def stopped_event(self) -> bytes:
        return self._closed() + self.error_event("The answer was stopped.", "answer_stopped")


def _frame(event: dict[str, Any]) -> bytes:
    return b"data: " + encode_json(event) + b"\n\n"
