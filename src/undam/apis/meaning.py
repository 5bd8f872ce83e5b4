"""What one event of a stream means, whichever API speaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an event is to a reader."""

    CONTENT = "content"
    """Non-empty text, reasoning or a tool call's piece: what TTFT waits for."""
    EMPTY = "empty"
    """A role, an empty delta, a start or stop of a block: no token."""
    FINISH = "finish"
    """The answer is complete (finish_reason, message_stop, response.completed)."""
    USAGE = "usage"
    """The token counts, nothing else."""
    DONE = "done"
    """``[DONE]``."""
    ERROR = "error"
    """An error told inside the stream."""
    HEARTBEAT = "heartbeat"
    """An event that only keeps the connection alive (Anthropic's ping)."""
    MALFORMED = "malformed"
    """Data that should be JSON and is not."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an event says.

    Args:
        text: the content it carries, or the error's message.
        ends: the answer is complete with this event, also when it carries content.
        tokens: completion tokens, where the event tells them.
        payload: the event's JSON, where it is JSON.
    """

    kind: Kind
    text: str = ""
    ends: bool = False
    tokens: int | None = None
    payload: object = None


@dataclass(frozen=True, slots=True)
class Api:
    """One streaming API.

    Args:
        request: ``(model, prompt, max_tokens) -> JSON body`` of its streaming form, or ``None``
            where the URL is fetched as given.
        read: ``(event name, data) -> Meaning``.
        announces_end: a complete stream always says so, so silence at the end means a cut.
    """

    name: str
    request: Callable[[str, str, int | None], Mapping[str, object]] | None
    read: Callable[[str, str], Meaning]
    announces_end: bool


def load(data: str) -> object:
    """``data`` as JSON; raises ValueError where it is none (too deeply nested counts as none)."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def mapping(value: object) -> Mapping[str, object]:
    """``value`` if it is a JSON object, else an empty one: hostile payloads read as nothing."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[object]:
    """``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """``value`` if it is a string, else nothing."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """``value`` if it is a whole number of something."""
    return value if type(value) is int and value >= 0 else None


def error_text(payload: Mapping[str, object]) -> str | None:
    """The message of an ``{"error": …}`` payload in any of the forms in use, or ``None``."""
    error = payload.get("error")
    if error is None or error in (False, ""):
        return None
    if isinstance(error, str):
        return error
    try:
        return text(mapping(error).get("message")) or json.dumps(error)[:300]
    except RecursionError:
        return "an error that is nested too deeply to be shown"
