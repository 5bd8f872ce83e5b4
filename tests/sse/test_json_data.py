"""Application values are encoded as JSON on one line."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from types import MappingProxyType, SimpleNamespace
from typing import Any

import msgspec
import pydantic
import pytest

from undam.sse import encode_json, json_text


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str, enum.Enum):  # noqa: UP042 (its str() is its name)
    ANN = "ann"


class Model(pydantic.BaseModel):
    number: int = pydantic.Field(serialization_alias="n")
    at: datetime.date = datetime.date(2026, 1, 1)


@dataclasses.dataclass
class Point:
    x: int
    color: Color


class Struct(msgspec.Struct):
    a: int


class _OldModel:
    __fields__ = ("a",)

    def dict(self) -> dict[str, int]:
        return {"a": 1}


class _Attrs:
    __attrs_attrs__ = (SimpleNamespace(name="a"),)
    a = 1


class _Array:
    def tolist(self) -> list[float]:
        return [1.0, 2.5]


class _Message:
    def to_dict(self) -> dict[str, int]:
        return {"a": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Model(number=1), '{"n":1,"at":"2026-01-01"}'),
        ({"m": [Model(number=2)]}, '{"m":[{"n":2,"at":"2026-01-01"}]}'),
        (Point(1, Color.RED), '{"x":1,"color":"red"}'),
        (Color.RED, '"red"'),
        (Level.HIGH, "3"),
        (Name.ANN, '"ann"'),
        (datetime.datetime(2026, 1, 2, 3, 4), '"2026-01-02T03:04:00"'),
        (datetime.time(3, 4), '"03:04:00"'),
        (datetime.timedelta(seconds=1.5), "1.5"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (pathlib.PurePosixPath("/a"), '"/a"'),
        (decimal.Decimal("1.5"), "1.5"),
        (decimal.Decimal(12), "12"),
        ({"set": {1}}, '{"set":[1]}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (collections.deque([1, 2]), "[1,2]"),
        ((n for n in (1, 2)), "[1,2]"),
        (b"a\xff", '"a\ufffd"'),
        (_OldModel(), '{"a":1}'),
        (Struct(1), '{"a":1}'),
        (_Attrs(), '{"a":1}'),
        (_Array(), "[1.0,2.5]"),
        (_Message(), '{"a":1}'),
        (("a", 1, None, True), '["a",1,null,true]'),
        ({Color.RED: 1, 2: 3, None: 4}, '{"red":1,"2":3,"null":4}'),
        ({datetime.date(2026, 1, 1): {uuid.UUID(int=1): [Point(1, Color.RED)]}},
         '{"2026-01-01":{"00000000-0000-0000-0000-000000000001":[{"x":1,"color":"red"}]}}'),
        ({Level.HIGH: 1, decimal.Decimal("1.5"): ({b"k": 1},)}, '{"3":1,"1.5":[{"k":1}]}'),
        ("a\u2028b\u0085", '"a\\u2028b\\u0085"'),
    ],
)  # fmt: skip
def test_value_is_sent_as_json(value: Any, text: str) -> None:
    assert json_text(value) == text
    assert encode_json(text) == json_text(text).encode()
    json.loads(text)


def test_a_lone_surrogate_is_escaped() -> None:
    assert encode_json({"a": "\ud800ä\u2028"}) == '{"a":"\\ud800ä\\u2028"}'.encode()
    assert json.loads(encode_json("\ud800ä")) == "\ud800ä"


def test_an_sdk_object_has_only_the_fields_that_were_sent() -> None:
    class Chunk(pydantic.BaseModel):
        id: str
        usage: int | None = None

    Chunk.__module__ = "openai.types.chat"
    assert json_text(Chunk(id="a")) == '{"id":"a"}'
    Chunk.__module__ = "application"
    assert json_text(Chunk(id="a")) == '{"id":"a","usage":null}'


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (object(), TypeError, r"builtins\.object cannot be sent as JSON; .* encode="),
        ({"a": [lambda: None]}, TypeError, "function cannot be sent"),
        (Point, TypeError, "class Point was yielded instead of one of its instances"),
        ({"a": float("nan")}, ValueError, "not JSON compliant"),
        ({"a": decimal.Decimal("Infinity")}, ValueError, "not JSON compliant"),
    ],
)
def test_a_value_that_cannot_be_sent_is_named(
    value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        encode_json(value)


def test_a_value_that_contains_itself_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        encode_json(loop)
    keyed: dict[Any, Any] = {uuid.UUID(int=1): 1}
    keyed["a"] = keyed
    with pytest.raises(ValueError, match="too deeply"):
        encode_json(keyed)
