"""Events and comments must be immutable."""

from __future__ import annotations

import copy
import dataclasses
import enum
import pickle
import uuid
from typing import Any

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


class _Color(str, enum.Enum):  # noqa: UP042 (its str() is its name)
    RED = "red"


@pytest.mark.parametrize(
    ("data", "text"),
    [({"a": 1}, '{"a":1}'), ([1], "[1]"), (5, "5"), (True, "true"), (None, "null"),
     (_Color.RED, "red"), (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"')],
)  # fmt: skip
def test_data_that_is_not_text_becomes_json(data: Any, text: str) -> None:
    assert Event(data).data == text


def test_type_and_id_are_text() -> None:
    event = Event("a", _Color.RED, 7)  # type: ignore[arg-type]
    assert (event.event, event.id) == ("red", "7")
    assert type(event.event) is str
    none = Event("a", None, None)  # type: ignore[arg-type]
    assert (none.event, none.id) == ("message", "")


def test_a_subclass_of_str_is_sent_as_its_text() -> None:
    class Loud(str):
        def __str__(self) -> str:
            return "LOUD"

    event = Event(Loud("a"), Loud("b"))
    assert (type(event.data), event.data, event.event) == (str, "a", "b")


def test_retry_is_optional() -> None:
    assert Event("a").retry is None
    event = Event("a", retry=3000)
    assert event.retry == 3000
    assert event != Event("a")
    assert repr(event) == "Event(data='a', event='message', id='', retry=3000)"
    assert dataclasses.replace(event, data="b") == Event("b", retry=3000)
    for one in (event, Event("a", "b", "c")):
        assert pickle.loads(pickle.dumps(one)) == one
        assert copy.copy(one) == one


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'Event' object has no attribute 'nothing'"):
        Event("a").nothing  # type: ignore[attr-defined]  # noqa: B018
