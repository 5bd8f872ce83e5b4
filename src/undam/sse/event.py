"""Contents of an event stream: events and comments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """Dispatched event (WHATWG HTML 9.2.6).

    Args:
        id: last event ID when the event was dispatched, even if an earlier event set it.
    """

    data: str
    event: str
    id: str

    def __init__(
        self,
        data: str,
        event: str = "message",
        id: str = "",  # noqa: A002 (name of the field in the format)
    ) -> None:
        # The generated constructor of a frozen dataclass takes more than twice as long, and
        # constructing events is most of the cost of parsing.
        _set_data(self, data)
        _set_event(self, event)
        _set_id(self, id)


_set_data = Event.__dict__["data"].__set__
_set_event = Event.__dict__["event"].__set__
_set_id = Event.__dict__["id"].__set__


@dataclass(frozen=True, slots=True)
class Comment:
    """Comment line (it starts with a colon); servers send it as a heartbeat."""

    text: str
