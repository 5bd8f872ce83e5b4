"""What an event stream carries: events and comments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """One dispatched event (WHATWG HTML 9.2.6).

    Args:
        id: the last event ID in force when it was dispatched, whichever event set it.
    """

    data: str
    event: str
    id: str

    def __init__(
        self,
        data: str,
        event: str = "message",
        id: str = "",  # noqa: A002 (the field's name in the format)
    ) -> None:
        # A frozen dataclass's own constructor takes more than twice as long, and this one is
        # most of the cost of parsing a stream.
        _set_data(self, data)
        _set_event(self, event)
        _set_id(self, id)


_set_data = Event.__dict__["data"].__set__
_set_event = Event.__dict__["event"].__set__
_set_id = Event.__dict__["id"].__set__


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that starts with a colon; servers send it as a heartbeat."""

    text: str
