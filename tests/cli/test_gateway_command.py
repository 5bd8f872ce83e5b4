"""The command line of the gateway: what it refuses, in one line, and what it would run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from support.undam_process import RunCommand

pytestmark = pytest.mark.slow  # a process for each

UP = ("--upstream", "http://127.0.0.1:1")


def test_the_configuration_that_would_run_can_be_read_back(run: RunCommand, tmp_path: Path) -> None:
    file, keys = tmp_path / "g.toml", tmp_path / "keys"
    keys.write_text("alice secret-of-alice-1234\n")
    file.write_text(
        'hedge = "auto"\nheartbeat = 5\n[[upstream]]\nurl = "http://127.0.0.1:1"\nmax_streams = 8\n'
    )
    said = run("gateway", "--check-config", "--config", str(file), "--heartbeat", "0.5",
               "--keys", str(keys), "--tell-incomplete")  # fmt: skip
    assert (said.code, said.err) == (0, "")
    values = tomllib.loads(said.out)
    assert (values["hedge"], values["heartbeat"], values["tell_incomplete"]) == ("auto", 0.5, True)
    assert values["upstream"] == [
        {"url": "http://127.0.0.1:1", "name": "127.0.0.1:1", "max_streams": 8}
    ]
    assert "secret-of-alice" not in said.out
    again = tmp_path / "again.toml"
    again.write_text(said.out)
    # What was not said is marked so; all else comes out as it went in.
    plain = [line.partition("  #")[0] for line in said.out.splitlines()]
    twice = run("gateway", "--check-config", "--config", str(again))
    assert [line.partition("  #")[0] for line in twice.out.splitlines()] == plain


def test_the_configuration_as_json(run: RunCommand, tmp_path: Path) -> None:
    told = json.loads(run("gateway", "--check-config", *UP, "--hedge", "150", "--json").out)
    assert (told["schema"], told["command"], told["config"]["hedge"]) == (1, "gateway", 150)
    assert told["config"]["upstream"][0]["url"] == "http://127.0.0.1:1"
    both = run("gateway", *UP, "--json", "--access-log", "-")
    assert both.code == 2
    assert "--access-log cannot both" in both.line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no upstream: give --upstream"),
        (("--upstream", "http://user:hunter2hunter2@h"), "no user name or key"),
        ((*UP, "--heartbeat", "often"), "--heartbeat takes a number of seconds"),
        ((*UP, "--keys", "/no/such/file"), "keys /no/such/file: No such file"),
        ((*UP, "--upstream-key", "sk-hunter2hunter2"), "never the key itself"),
        ((*UP, "--upstream-key", "env:NO_SUCH"), "upstream_key env:NO_SUCH: holds no key"),
        ((*UP, "--tls-cert", "/no/a", "--tls-key", "/no/b"), "tls_cert /no/a, tls_key /no/b: No"),
        (("--upstream", "https://h", "--upstream-cacert", "/no/ca"), "upstream_cacert /no/ca: No"),
        ((*UP, "--config", "/no/such.toml"), "--config /no/such.toml: No such file"),
    ],
)
def test_what_cannot_run_is_told_in_one_line(
    run: RunCommand, arguments: tuple[str, ...], words: str
) -> None:
    said = run("gateway", *arguments)
    assert said.code == 2
    assert words in said.line
    assert "hunter2" not in said.line
    assert said.out == ""


def test_a_wrong_key_of_the_file_is_told_with_its_line(run: RunCommand, tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('upstream = "http://127.0.0.1:1"\n\nheart_beat = 5\n')
    said = run("gateway", "--check-config", "--config", str(file))
    assert said.code == 2
    assert said.line == f"undam: {file}:3:1: there is no key 'heart_beat'; did you mean heartbeat?"
