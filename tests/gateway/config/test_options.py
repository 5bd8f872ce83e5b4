"""Gateway options: defaults, documentation, and flag values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from undam.gateway.config.config import Config, make_config, upstream_from_url
from undam.gateway.config.options import BY_NAME, OPTIONS


def test_every_option_is_a_config_field_and_accepts_its_default() -> None:
    names = {field.name for field in dataclasses.fields(Config)}
    assert {option.name for option in OPTIONS} | {"upstreams", "aliases"} == names
    config = make_config({}, [upstream_from_url("http://a:1")])
    for option in OPTIONS:
        if option.default != "":
            default = option.default
            value = list(default) if isinstance(default, tuple | frozenset) else default
            assert option.type.from_toml(value) == getattr(config, option.name)
        assert option.help.endswith(".")


def test_the_reference_lists_every_option() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text(encoding="utf-8")
    assert [option.name for option in OPTIONS if f"`{option.name}`" not in reference] == []
    fixed = {option.name for option in OPTIONS if not option.live}
    marked = [line for line in reference.splitlines() if line.startswith("| `") and "¹" in line]
    assert {name for name in fixed if any(f"`{name}`" in line for line in marked)} == fixed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("heartbeat", "0.5", 0.5),
        ("workers", "4", 4),
        ("hedge", "auto", "auto"),
        ("hedge", "150", 150.0),
        ("hedge_paths", "/a, /b,", ("/a", "/b")),
        ("metrics", "off", "off"),
        ("keys", "k.txt", "k.txt"),
        ("cors_origins", "*", ("*",)),
        ("failure_statuses", "500, 503", frozenset({500, 503})),
        ("failure_statuses", "429,5xx", frozenset({429, *range(500, 600)})),
        ("failure_statuses", "", frozenset()),
    ],
)
def test_flags_are_converted(name: str, text: str, value: object) -> None:
    assert BY_NAME[name].type.from_flag(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("heartbeat", "often"),
        ("heartbeat", "nan"),
        ("workers", "-1"),
        ("workers", "1.0"),
        ("workers", "9" * 30),
        ("hedge", "maybe"),
        ("hedge", "-5"),
        ("metrics", "true"),
        ("failure_statuses", "200"),
        ("failure_statuses", "5xy"),
    ],
)
def test_invalid_flags_are_refused_with_the_accepted_values(name: str, text: str) -> None:
    option_type = BY_NAME[name].type
    with pytest.raises(ValueError, match=f"^must be {option_type.description[:12]}"):
        option_type.from_flag(text)
