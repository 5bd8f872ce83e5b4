"""Reading of individual values from a JSON payload."""

from __future__ import annotations

import json

import pytest

from undam.apis.meaning import count, error_status, error_text, load, mapping, sequence, text


def test_values_of_another_type_read_as_nothing() -> None:
    assert mapping({"a": 1}) == {"a": 1}
    assert sequence([1]) == [1]
    assert text("a") == "a"
    for wrong in (None, 1, 1.5, True, b"a", (1,)):
        assert mapping(wrong) == {}
        assert sequence(wrong) == []
        assert text(wrong) == ""


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0, 0),
        (7, 7),
        (10**12, 10**12),
        (10**12 + 1, None),
        (10**30, None),
        (-1, None),
        (True, None),
        (1.0, None),
        ("1", None),
    ],
)
def test_count(value: object, read: int | None) -> None:
    assert count(value) == read


def test_load() -> None:
    assert load('{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError, match="nested too deeply"):
        load("[" * 100_000)
    with pytest.raises(ValueError, match="Expecting value"):
        load("<html>")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, None),
        ({"error": None}, None),
        ({"error": False}, None),
        ({"error": ""}, None),
        ({"error": "boom"}, "boom"),
        ({"error": {"message": "boom", "code": 500}}, "boom"),
        ({"error": {"code": 500}}, '{"code": 500}'),
        ({"error": {"message": None}}, '{"message": null}'),
        ({"error": {}}, "{}"),
        ({"error": [1]}, "[1]"),
        ({"error": True}, "true"),
        ({"error": {"code": "x" * 999}}, '{"code": "' + "x" * 290),
    ],
)
def test_error_text(payload: dict[str, object], said: str | None) -> None:
    assert error_text(payload) == said


def test_an_error_too_deep_to_be_shown() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert error_text({"error": nested}) == "an error that is nested too deeply to be shown"


@pytest.mark.parametrize("part", ["{}", "[]", "1"])
def test_texts_with_too_many_values_are_rejected(part: str) -> None:
    assert load(f"[{','.join([part] * 60_000)}]") is not None
    with pytest.raises(ValueError, match="too many values"):
        load(f"[{','.join([part] * 200_001)}]")
    assert load(json.dumps("[" * 150_000)) == "[" * 150_000


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"error": {"message": "x", "type": "InternalServerError", "code": 500}}, 500),
        ({"error": {"type": "BadRequestError", "code": "400"}}, 400),
        ({"error": {"type": "SERVICE_UNAVAILABLE", "code": 503}}, 503),
        ({"error": {"message": "x", "status_code": 429}}, 429),
        ({"type": "error", "error": {"type": "overloaded_error"}}, 529),
        ({"type": "error", "error": {"type": "invalid_request_error"}}, 400),
        ({"type": "error", "error": {"type": "api_error"}}, 500),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, 429),
        ({"response": {"error": {"code": "invalid_prompt"}}}, 400),
        ({"response": {"error": {"code": "server_error"}}}, 500),
        ({"error": {"code": 1302}}, 500),
        ({"error": {"code": True}}, 500),
        ({"error": {"code": "9" * 5000}}, 500),
        ({"error": "out of memory"}, 500),
        ({}, 500),
        (None, 500),
    ],
)
def test_an_error_event_stands_for_a_status(payload: object, status: int) -> None:
    assert error_status(payload) == status
