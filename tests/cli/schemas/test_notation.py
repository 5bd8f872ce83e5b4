"""The notation for output formats, and the conversion to JSON Schema."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from undam.cli.schemas import FORMS, schema_of
from undam.cli.schemas.notation import Form, compile_form


def accepts(form: Form, value: object, *, closed: bool = False) -> bool:
    return bool(Draft202012Validator(compile_form(form, closed=closed)).is_valid(value))


@pytest.mark.parametrize(
    ("form", "valid", "invalid"),
    [
        ("integer", [1], ["1", None, 1.5]),
        ("number|null", [1.5, 2, None], ["x"]),
        ("'a'|'b'", ["a"], ["c", None]),
        ("'a'|null", ["a", None], ["b"]),
        ("any", [1, None, {}], []),
        (["string"], [[], ["x"]], ["x", [1]]),
        ({"a": "integer", "b?": "string"}, [{"a": 1}, {"a": 1, "c": 2}], [{}, {"a": 1, "b": 2}]),
        ({"*": "integer"}, [{}, {"x": 1}], [{"x": "y"}]),
        (("null", {"a": "integer"}), [None, {"a": 1}], [{}]),
    ],
)
def test_each_element_of_the_notation(
    form: Form, valid: list[object], invalid: list[object]
) -> None:
    assert [value for value in valid if not accepts(form, value)] == []
    assert [value for value in invalid if accepts(form, value)] == []


def test_a_closed_form_rejects_unlisted_fields_at_every_depth() -> None:
    form: Form = {"a": [{"b": "integer"}]}
    assert accepts(form, {"a": [{"b": 1}]}, closed=True)
    assert not accepts(form, {"a": [{"b": 1, "c": 2}]}, closed=True)
    assert not accepts(form, {"a": [], "c": 2}, closed=True)


def test_a_description_is_part_of_the_schema() -> None:
    assert compile_form("number: in ms") == {"type": "number", "description": "in ms"}


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="strnig"):
        compile_form("strnig")


def test_every_schema_is_valid() -> None:
    assert len(FORMS) > 15
    for form in FORMS:
        Draft202012Validator.check_schema(schema_of(form))
