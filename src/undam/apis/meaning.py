"""Meaning of one stream event, in a form that all APIs share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kind of a stream event."""

    CONTENT = "content"
    """Non-empty text, reasoning, audio, or part of a tool call. The first such event ends TTFT."""
    EMPTY = "empty"
    """A role, an empty delta, metadata, or the start or stop of a block, without a token."""
    FINISH = "finish"
    """The answer is complete (finish_reason, message_stop, response.completed)."""
    USAGE = "usage"
    """Token counts and nothing else."""
    DONE = "done"
    """The end marker ``[DONE]``."""
    ERROR = "error"
    """An error sent inside the stream."""
    HEARTBEAT = "heartbeat"
    """An event that only keeps the connection alive (Anthropic's ping)."""
    MALFORMED = "malformed"
    """Data that is not JSON although the API requires it."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Parsed event.

    Args:
        text: the content of the event, or the message of an error.
        ends: whether the answer is complete with this event, which may also carry content.
        tokens: completion tokens, if the event reports them.
        payload: the event's JSON; ``None`` if it is not JSON.
        tool: the part of ``text`` that belongs to the arguments of a tool call.
        name: the types of the event, if it comes from an unknown application.
    """

    kind: Kind
    text: str = ""
    ends: bool = False
    tokens: int | None = None
    payload: object = None
    tool: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """One streaming API.

    Args:
        request: ``(model, prompt, max_tokens) -> JSON body`` of its streaming form, or ``None`` if
            the URL is fetched as given.
        read: ``(event name, data) -> Meaning``.
        read_value: the same for data that is already parsed: ``(event name, JSON value) ->
            Meaning``; ``None`` if events need not be JSON.
        announces_end: whether a complete stream always has an end marker, so that a stream without
            one was cut.
    """

    name: str
    request: Callable[[str, str, int | None], Mapping[str, object]] | None
    read: Callable[[str, str], Meaning]
    announces_end: bool
    read_value: Callable[[str, object], Meaning] | None = None


def read_json(read_value: Callable[[str, object], Meaning]) -> Callable[[str, str], Meaning]:
    """Return a reader for JSON text that parses the text and calls ``read_value``."""

    def read(event: str, data: str) -> Meaning:
        try:
            value = load(data)
        except ValueError:
            return Meaning(Kind.MALFORMED, data[:200])
        return read_value(event, value)

    return read


MAX_COUNT = 10**12
"""Largest count that is accepted from a server; no answer has a trillion tokens."""

# Maximum number of JSON values in one text. Parsed values take up to 20 times as much memory as
# their text.
_MAX_VALUES = 200_000
_SEPARATORS = "[{,"


def load(data: str) -> object:
    """Parse ``data`` as JSON.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has too many values.
    """
    if len(data) > _MAX_VALUES and sum(map(data.count, _SEPARATORS)) > _MAX_VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def mapping(value: object) -> Mapping[str, object]:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[object]:
    """Return ``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return ``value`` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """Return ``value`` if it is an integer from 0 to ``MAX_COUNT``, else ``None``."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def error_text(payload: Mapping[str, object]) -> str | None:
    """Return the message of an ``{"error": …}`` payload of any known form, or ``None``."""
    error = payload.get("error")
    if error is None or error in (False, ""):
        return None
    if isinstance(error, str):
        return error
    try:
        return text(mapping(error).get("message")) or json.dumps(error)[:300]
    except RecursionError:
        return "an error that is nested too deeply to be shown"


# Statuses that errors in a stream stand for, by words in their type or code. vLLM, for instance,
# sends "BadRequestError", and OpenAI "rate_limit_exceeded".
_ERROR_STATUSES = (
    ("overloaded", 529),
    ("ratelimit", 429),
    ("quota", 429),
    ("unavailable", 503),
    ("timeout", 504),
    ("badrequest", 400),
    ("invalid", 400),
    ("contextlength", 400),
    ("policy", 400),
    ("contentfilter", 400),
    ("authentication", 401),
    ("permission", 403),
    ("notfound", 404),
)
_INTERNAL_ERROR = 500


def error_status(payload: object) -> int:
    """Return the HTTP status that an error event stands for; 500 if the event does not state one.

    An error that occurs after the response head was sent has no HTTP status of its own.
    """
    whole = mapping(payload)
    error = mapping(whole.get("error") or mapping(whole.get("response")).get("error")) or whole
    names = [error.get(key) for key in ("code", "status_code", "status", "type")]
    for name in names:
        number = int(name) if isinstance(name, str) and re.fullmatch("[45][0-9]{2}", name) else name
        if type(number) is int and 400 <= number <= 599:
            return number
    words = " ".join(map(text, names)).lower().replace("_", "").replace("-", "")
    return next((status for word, status in _ERROR_STATUSES if word in words), _INTERNAL_ERROR)


_MAX_DEPTH = 8
_SKIPPED_KEYS = {"type", "id", "index", "role", "name", "kind", "signature", "format"}


def text_in(value: object, depth: int = _MAX_DEPTH) -> str:
    """Return all text in a nested value, except types, identifiers and roles."""
    if isinstance(value, str):
        return value
    if depth <= 0:
        return ""
    if isinstance(value, list):
        return "".join(text_in(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return "".join(
            text_in(item, depth - 1) for key, item in value.items() if key not in _SKIPPED_KEYS
        )
    return ""


def content_or_empty(
    content: str, payload: object, *, tool: str = "", ends: bool = False, tokens: int | None = None
) -> Meaning:
    """Return a content event if there is content, otherwise an empty or finishing event."""
    if content:
        return Meaning(Kind.CONTENT, content, ends, tokens, payload, tool)
    return Meaning(Kind.FINISH if ends else Kind.EMPTY, "", ends, tokens, payload)
