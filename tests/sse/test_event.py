"""Events and comments are immutable values."""

from __future__ import annotations

import dataclasses

import pytest

from undam.sse import Comment, Event


def test_defaults() -> None:
    event = Event("a")
    assert (event.data, event.event, event.id) == ("a", "message", "")
    assert event == Event(data="a", event="message", id="")
    assert repr(event) == "Event(data='a', event='message', id='')"


def test_equality_by_value() -> None:
    assert Event("a", "b", "c") == Event("a", "b", "c")
    assert len({Event("a"), Event("a"), Event("b"), Event("a", "b"), Event("a", id="b")}) == 4
    both: list[object] = [Event("a"), Comment("a")]
    assert both[0] != both[1]


@pytest.mark.parametrize("name", ["data", "event", "id"])
def test_event_is_immutable(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Event("a"), name, "b")


def test_dataclasses_replace() -> None:
    assert dataclasses.replace(Event("a", "b", "c"), data="d") == Event("d", "b", "c")
