"""`undam gateway`: the effective configuration, and error messages."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from support.undam_command import RunCommand

pytestmark = pytest.mark.slow  # Each test starts a process.

UP = ("--upstream", "http://127.0.0.1:1")


def test_the_printed_configuration_can_be_read_back(run: RunCommand, tmp_path: Path) -> None:
    file, keys = tmp_path / "g.toml", tmp_path / "keys"
    keys.write_text("alice secret-of-alice-1234\n")
    file.write_text(
        'hedge = "auto"\nheartbeat = 5\n[[upstream]]\nurl = "http://127.0.0.1:1"\nmax_streams = 8\n'
    )
    result = run("gateway", "--check-config", "--config", str(file), "--heartbeat", "0.5",
               "--keys", str(keys), "--tell-incomplete")  # fmt: skip
    assert (result.code, result.err) == (0, "")
    values = tomllib.loads(result.out)
    assert (values["hedge"], values["heartbeat"], values["tell_incomplete"]) == ("auto", 0.5, True)
    assert values["upstream"] == [
        {"url": "http://127.0.0.1:1", "name": "127.0.0.1:1", "max_streams": 8}
    ]
    assert "secret-of-alice" not in result.out
    printed = tmp_path / "printed.toml"
    printed.write_text(result.out)
    # Comments mark default values. The second run prints no comments, because the file sets every
    # value.
    values_only = [line.partition("  #")[0] for line in result.out.splitlines()]
    second = run("gateway", "--check-config", "--config", str(printed))
    assert [line.partition("  #")[0] for line in second.out.splitlines()] == values_only


def test_the_configuration_as_json(run: RunCommand, tmp_path: Path) -> None:
    output = json.loads(run("gateway", "--check-config", *UP, "--hedge", "150", "--json").out)
    assert (output["schema"], output["command"], output["config"]["hedge"]) == (1, "gateway", 150)
    assert output["config"]["upstream"][0]["url"] == "http://127.0.0.1:1"
    both = run("gateway", *UP, "--json", "--access-log", "-")
    assert both.code == 2
    assert "--access-log cannot both" in both.line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no upstream: use --upstream"),
        (("--upstream", "http://user:hunter2hunter2@h"), "must not contain credentials"),
        ((*UP, "--heartbeat", "often"), "--heartbeat must be a number of seconds"),
        ((*UP, "--keys", "/no/such/file"), "keys /no/such/file: No such file"),
        ((*UP, "--upstream-key", "sk-hunter2hunter2"), "not the key itself"),
        (
            (*UP, "--upstream-key", "env:NO_SUCH"),
            "env:NO_SUCH: does not contain a key",
        ),
        ((*UP, "--tls-cert", "/no/a", "--tls-key", "/no/b"), "tls_cert /no/a, tls_key /no/b: No"),
        (("--upstream", "https://h", "--upstream-cacert", "/no/ca"), "upstream_cacert /no/ca: No"),
        ((*UP, "--config", "/no/such.toml"), "--config /no/such.toml: No such file"),
    ],
)
def test_errors_are_reported_in_one_line_without_secrets(
    run: RunCommand, arguments: tuple[str, ...], message: str
) -> None:
    result = run("gateway", *arguments)
    assert result.code == 2
    assert message in result.line
    assert "hunter2" not in result.line
    assert result.out == ""


def test_an_unknown_key_is_reported_with_its_position(run: RunCommand, tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('upstream = "http://127.0.0.1:1"\n\nheart_beat = 5\n')
    result = run("gateway", "--check-config", "--config", str(file))
    assert result.code == 2
    assert result.line == (
        f'undam: {file}:3:1: unknown key "heart_beat". Did you mean "heartbeat"?'
    )
