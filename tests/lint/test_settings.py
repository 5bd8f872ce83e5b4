"""Rule settings: selection of rules, and parsing of a settings table."""

from __future__ import annotations

import re

import pytest

from undam.errors import UsageError
from undam.lint.evidence.neighbours import neighbours_from
from undam.lint.routes import RouteHints
from undam.lint.settings import Settings, read_settings


def test_rules_are_selected_by_code_prefix_and_slug() -> None:
    def is_enabled(**table: object) -> bool:
        settings = read_settings(table, where="undam.toml")
        return settings.is_enabled("NGX101", "held-in-blocks", "deploy/site.conf")

    assert is_enabled()
    assert is_enabled(select=["ngx1"])
    assert is_enabled(select=["HAP", "held-in-blocks"])
    assert not is_enabled(select=["NGX2"])
    assert not is_enabled(ignore=["NGX101"])
    assert not is_enabled(select=["NGX"], ignore=["Held-in-blocks"])
    assert not is_enabled(**{"per-file": {"deploy/*": ["NGX1"]}})
    assert is_enabled(**{"per-file": {"deploy/*": ["NGX2"], "other/*": ["NGX1"]}})


def test_settings_are_read_from_a_table() -> None:
    assert read_settings({}, where="undam.toml") == Settings()
    settings = read_settings({"stream": ["/api"], "heartbeat": 5}, where="undam.toml")
    assert settings.hints == RouteHints(("/api",))
    assert settings.heartbeat_s == 5.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"selekt": []}, "unknown setting 'selekt'; known: heartbeat, ignore, per-file"),
        ({"select": "NGX"}, "'select' must be a list of strings"),
        ({"ignore": [1]}, "'ignore' must be a list of strings"),
        ({"per-file": []}, "'per-file' must be a table"),
        ({"per-file": {"a": "NGX"}}, "'per-file.a' must be a list of strings"),
        ({"heartbeat": True}, "'heartbeat' must be a number"),
        ({"heartbeat": "15s"}, "'heartbeat' must be a number"),
        ({"heartbeat": -1}, "'heartbeat' must be a number of seconds, at least 0"),
        ({"silence": float("inf")}, "'silence' must be a number of seconds"),
        ({"target": ["nginx"]}, "'target' must be a table"),
        ({"target": {"ngnix": "1.30"}}, "'target': 'ngnix' has no versions; known: apache"),
        ({"target": {"nginx": 1.30}}, "'target': nginx needs a version in quotes"),
        ({"target": {"nginx": "new"}}, "'target': nginx needs a version in quotes"),
    ],
)
def test_an_invalid_setting_is_reported(table: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"undam.toml: {message}")):
        read_settings(table, where="undam.toml")


def test_the_engine_behind_a_route_decides_about_its_heartbeats() -> None:
    compose = """\
services:
  vllm: {image: vllm/vllm-openai, command: --sse-ping-interval 20}
  tgi: {image: "ghcr.io/huggingface/text-generation-inference:3"}
  ui: {image: ghcr.io/open-webui/open-webui}
"""
    settings = Settings(neighbours=neighbours_from([("c.yaml", compose)]))
    assert settings.silence_for(["http://ui:8080"]) == settings.silence
    assert settings.silence_for(["http://vllm:8000"]).heartbeat_s == 20
    assert settings.silence_for(["http://vllm:8000", "http://tgi"]).heartbeat_s == 20
    stated = Settings(heartbeat_s=5.0, neighbours=settings.neighbours)
    assert stated.silence_for(["http://vllm:8000"]) == stated.silence
