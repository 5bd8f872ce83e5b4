"""Contents of an event stream: events, comments, and fields without data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from undam.sse.json_data import json_text


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """Event that a client dispatches (WHATWG HTML 9.2.6).

    Args:
        data: text of the event. Any other value is converted to JSON, so ``Event({"a": 1}, "x")``
            is an event of type x with JSON as its data.
        id: last event ID when the event was dispatched, even if an earlier event set it.
        retry: reconnection time in ms to send with the event. A parsed event has none, because the
            format applies it to the whole stream (see `Parser.retry_ms`).

    Raises:
        TypeError, ValueError: ``data`` cannot be converted to JSON.
    """

    data: str
    event: str
    id: str
    retry: int | None

    def __init__(
        self,
        data: Any,
        event: str = "message",
        id: str = "",  # noqa: A002 (name of the field in the format)
        retry: int | None = None,
    ) -> None:
        # A frozen dataclass's generated constructor takes more than twice as long, and constructing
        # events is most of the cost of parsing.
        _set_data(self, data if type(data) is str else _text(data))
        _set_event(self, event if type(event) is str else _name(event, "message"))
        _set_id(self, id if type(id) is str else _name(id, ""))
        if retry is not None:
            _set_retry(self, retry)

    def __repr__(self) -> str:
        retry = "" if self.retry is None else f", retry={self.retry!r}"
        return f"Event(data={self.data!r}, event={self.event!r}, id={self.id!r}{retry})"


def _unset_attribute(event: Event, name: str) -> None:
    # To save time, the parser leaves this slot unset in the events that it creates.
    if name == "retry":
        return
    raise AttributeError(f"{type(event).__name__!r} object has no attribute {name!r}")


# The method is assigned here, so that type checkers still report unknown attributes of events.
Event.__getattr__ = _unset_attribute  # type: ignore[attr-defined]

_set_data = Event.__dict__["data"].__set__
_set_event = Event.__dict__["event"].__set__
_set_id = Event.__dict__["id"].__set__
_set_retry = Event.__dict__["retry"].__set__


def _text(data: object) -> str:
    """Return ``data`` as text: a string unchanged, any other value as JSON."""
    if isinstance(data, Enum) and isinstance(data.value, str):
        return data.value
    return str.__str__(data) if isinstance(data, str) else json_text(data)


def _name(value: object, default: str) -> str:
    """Return an event type or ID as text, for instance from an enum or a number."""
    if value is None:
        return default
    if isinstance(value, Enum):
        return _name(value.value, default)
    return str.__str__(value) if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True)
class Comment:
    """Comment line, which begins with a colon. Servers send comments as heartbeats."""

    text: str


@dataclass(frozen=True, slots=True)
class ReconnectHint:
    """Fields without data. A client applies them but does not dispatch an event.

    Args:
        id: last event ID from now on, such as that of the Model Context Protocol's first event.
        retry: reconnection time in ms.
    """

    id: str | None = None
    retry: int | None = None
