"""Configuration of the monitor: values, variables, and errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.monitor.settings import parse_settings, read_settings

VALID = """
[monitor]
state = "m.db"
webhook = "https://hooks.example/${HOOK}"
[[target]]
name = "chat"
url = "https://chat.example/v1/chat/completions"
hops = { model = "http://10.0.0.5:8000/v1/chat/completions" }
headers = { Authorization = "Bearer ${KEY}" }
interval = 60
objectives = ["ttft_p95<800ms"]
probes_per_day = 500
"""
ENVIRON = {"KEY": "sk-secret", "HOOK": "abc"}


def test_a_target_has_its_hops_headers_and_objectives() -> None:
    settings = parse_settings(VALID, "m.toml", ENVIRON)
    (target,) = settings.targets
    assert [place.name for place in target.options.places] == ["edge", "model"]
    assert target.options.headers == (("Authorization", "Bearer sk-secret"),)
    assert [one.text for one in target.objectives] == ["verdict=streaming", "ttft_p95<800ms"]
    assert (target.interval_s, target.probes_per_day) == (60, 500)
    assert settings.webhook == "https://hooks.example/abc"


def test_no_secret_is_part_of_a_repr() -> None:
    assert "sk-secret" not in repr(parse_settings(VALID, "m.toml", ENVIRON))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("interval = 60", "interval = 0"), r"target 'chat': interval must be a number from 1"),
        (("interval = 60", "intervall = 60"), r"target 'chat': unknown key 'intervall'"),
        (('name = "chat"', 'name = "a b"'), r"target 1: name must have"),
        (("${KEY}", "${NO}"), r"headers.Authorization: the variable NO is not set"),
        (("ttft_p95<800ms", "ttft"), r"target 'chat': objectives: "),
        (('url = "https', 'uri = "https'), r"unknown key 'uri'"),
        (("[[target]]", "[[targets]]"), r"unknown table 'targets'"),
        (('state = "m.db"', "state = 3"), r"\[monitor\]: state must be a string"),
        (("interval = 60", "interval = 60\ninterval = 60"), r"m.toml: "),
        (("hops = {", "hops = 3 #"), r"hops must be a table of strings"),
        (('objectives = ["ttft_p95<800ms"]', "objectives = 3"), r"must be a list of strings"),
        (("interval = 60", "beacon = 1"), r"beacon must be true or false"),
    ],
)
def test_errors_name_the_place(change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(VALID.replace(*change), "m.toml", ENVIRON)


def test_two_targets_with_one_name_are_refused() -> None:
    text = VALID + VALID[VALID.index("[[target]]") :]
    with pytest.raises(UsageError, match="two targets have the name 'chat'"):
        parse_settings(text, "m.toml", ENVIRON)


def test_a_file_without_targets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("[monitor]\n")
    with pytest.raises(UsageError, match="no target"):
        read_settings(str(path), {})


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_settings("no-such-file.toml", {})
