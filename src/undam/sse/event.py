"""What an event stream carries: events and comments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event (WHATWG HTML 9.2.6).

    Args:
        id: the last event ID in force when it was dispatched, whichever event set it.
    """

    data: str
    event: str = "message"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that starts with a colon; servers send it as a heartbeat."""

    text: str
