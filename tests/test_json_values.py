"""Type checks of JSON values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from undam.json_values import (
    MAX_INT,
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
