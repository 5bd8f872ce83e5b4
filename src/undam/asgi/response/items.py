"""Item types that a source may yield."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, ClassVar, Protocol
from uuid import UUID

from undam.sse import Comment, Event, ReconnectHint, json_text


@dataclass(frozen=True, slots=True)
class Raw:
    """Complete events that are sent unchanged. The last one must end with a blank line.

    Raises:
        ValueError: ``data`` does not end with a blank line, so the next event would be part of it.
    """

    data: bytes

    def __post_init__(self) -> None:
        if self.data and not self.data.endswith((b"\n\n", b"\r\r", b"\n\r\n")):
            raise ValueError(
                "the bytes in Raw must end with a blank line, for example b'data: x\\n\\n'"
            )


class PydanticModel(Protocol):
    """pydantic 2 model, such as the models of openai-python, anthropic and langchain-core."""

    def model_dump_json(self) -> str:
        """Return the model serialized as JSON."""
        ...


class DataclassInstance(Protocol):
    """Instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class StructInstance(Protocol):
    """Instance of a msgspec.Struct class."""

    __struct_fields__: ClassVar[tuple[str, ...]]


class ServerSentEvent(Protocol):
    """Event object from sse-starlette or fastapi.sse."""

    @property
    def event(self) -> str | None: ...

    @property
    def id(self) -> str | None: ...

    @property
    def retry(self) -> int | None: ...

    @property
    def comment(self) -> str | None: ...


JsonItem = (
    str
    | int
    | float
    | None
    | Mapping[str, Any]
    | Sequence[Any]
    | Set[Any]
    | date
    | time
    | timedelta
    | UUID
    | Decimal
    | Enum
    | PydanticModel
    | DataclassInstance
    | StructInstance
)
"""Values that are sent as the data of an event. ``None`` is skipped."""

Item = (
    JsonItem
    | bytes
    | bytearray
    | memoryview
    | Event
    | Comment
    | ReconnectHint
    | Raw
    | ServerSentEvent
)
"""Everything that a source may yield. Other types need ``encode=``."""

Items = AsyncIterable[Item] | Iterable[Item]
Source = Items | Callable[[], Items]

AnyItems = AsyncIterable[Any] | Iterable[Any]
AnySource = AnyItems | Callable[[], AnyItems]
"""Source of any items, with ``encode=``."""

Encode = Callable[[Any], Item]
"""Function that converts an item to one that can be sent; ``None`` skips the item."""

_FIELD = re.compile(r"(?:data|event|id|retry)?:|(?:data|event|id|retry)$")

_EVENT_KEYS = {"data", "event", "id", "retry", "comment"}


def is_framed(text: str) -> bool:
    """Return whether a text consists of complete events, such as ``"data: x\\n\\n"``."""
    if not _FIELD.match(text.partition("\n")[0].rstrip("\r")):
        return False
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[-2:] == ["", ""] and all(not line or _FIELD.match(line) for line in lines)


def is_event_dict(item: Mapping[Any, Any]) -> bool:
    """Return whether a dict describes a named event in the form that sse-starlette accepts.

    It has ``event`` and ``data``, and only fields of an event.
    """
    kind = item.get("event")
    return "data" in item and isinstance(kind, str) and item.keys() <= _EVENT_KEYS


def is_server_sent_event(item: object) -> bool:
    """Return whether an item is an event object from sse-starlette or fastapi.sse."""
    return any(kind.__name__ == "ServerSentEvent" for kind in type(item).__mro__)


def converted(item: Any) -> list[Comment | Event | ReconnectHint]:
    """Return the fields of an event object from sse-starlette or fastapi.sse.

    fastapi.sse sends ``data`` as JSON, even a string, and ``raw_data`` as it is. sse-starlette
    sends a string as it is.
    """
    get: Callable[[str], Any]
    get = item.get if isinstance(item, Mapping) else partial(_attribute, item)
    data, comment, ident, retry = get("data"), get("comment"), get("id"), get("retry")
    if not isinstance(item, Mapping) and hasattr(item, "raw_data"):
        data = item.raw_data if data is None else json_text(data)
    parts: list[Comment | Event | ReconnectHint] = []
    if comment:
        parts.append(Comment(str(comment)))
    if data is not None:
        parts.append(Event(data, get("event") or "message", "" if ident is None else ident, retry))
    elif ident is not None or retry is not None:
        parts.append(ReconnectHint(None if ident is None else str(ident), retry))
    return parts


def _attribute(item: object, name: str) -> Any:
    return getattr(item, name, None)
