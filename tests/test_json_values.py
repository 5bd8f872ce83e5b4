"""Type checks for JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from undam.json_values import (
    MAX_INT,
    encodable,
    finite_or_none,
    legal_value,
    require_array,
    require_bool,
    require_int,
    require_number,
    require_object,
    require_text,
)


def test_valid_values_are_returned() -> None:
    assert require_object({"a": 1}) == {"a": 1}
    assert require_array([1]) == [1]
    assert require_text("ä") == "ä"
    assert require_bool(False) is False
    assert require_int(MAX_INT) == MAX_INT
    assert require_int(-5, least=-5) == -5
    assert require_number(2, least=0, most=2) == 2


@pytest.mark.parametrize(
    ("check", "value", "error"),
    [
        (require_object, [], TypeError),
        (require_array, {}, TypeError),
        (require_text, b"a", TypeError),
        (require_text, "\ud800", ValueError),
        (require_bool, 1, TypeError),
        (require_int, True, TypeError),
        (require_int, 1.0, TypeError),
        (require_int, -1, ValueError),
        (require_int, MAX_INT + 1, ValueError),
        (lambda value: require_number(value, least=0, most=2), True, TypeError),
        (lambda value: require_number(value, least=0, most=2), "1", TypeError),
        (lambda value: require_number(value, least=0, most=2), float("nan"), ValueError),
        (lambda value: require_number(value, least=0, most=2), float("inf"), ValueError),
        (lambda value: require_number(value, least=0, most=2), 3, ValueError),
    ],
)
def test_other_values_raise(
    check: Callable[[object], object], value: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check(value)


@pytest.mark.parametrize(
    "value", [None, True, "a", 7, -7, 1.5, [], {}, [[{"a": [1, "b", None]}]], MAX_INT, -MAX_INT]
)
def test_legal_values(value: object) -> None:
    assert legal_value(value) == value
    assert json.loads(json.dumps(legal_value(value), allow_nan=False)) == value


def _nested(depth: int, *, objects: bool) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"a": value} if objects else [value]
    return value


@pytest.mark.parametrize("objects", [True, False])
def test_depth_of_a_legal_value(objects: bool) -> None:
    assert legal_value(_nested(16, objects=objects)) == _nested(16, objects=objects)
    for depth in (17, 900):
        with pytest.raises(ValueError, match="nested more than 16"):
            legal_value(_nested(depth, objects=objects))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), MAX_INT + 1, 10**4000, "\ud800", {"\ud800": 1}, {1: 1}, (), b"",
        [float("-inf")], {"a": [10**30]},
    ],
)  # fmt: skip
def test_illegal_values(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        legal_value(value)


def test_nan_and_infinity_become_null() -> None:
    value = {"a": [1.5, float("nan"), (float("inf"), "x")], "b": None, "c": -7}
    assert finite_or_none(value) == {"a": [1.5, None, [None, "x"]], "b": None, "c": -7}


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    assert encodable("a\u00e4\U0001f511") == "a\u00e4\U0001f511"
    assert encodable("a\ud800\udcff") == "a??"
