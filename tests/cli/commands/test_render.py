"""`undam render`: complete configurations for every dialect, and validation of options."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.undam_command import invoke
from undam.errors import UsageError
from undam.lint import DIALECTS

NAMES = [dialect.name for dialect in DIALECTS]
each_dialect = pytest.mark.parametrize("name", NAMES)
UPSTREAM = ("--upstream", "http://127.0.0.1:9123")
# Server configurations that contain a listen address or port.
SERVERS = {"commands": "--port 8080", "kserve": "containerPort: 9123"}


@each_dialect
def test_a_rendered_configuration_names_the_upstream_and_is_clean(name: str) -> None:
    result = invoke("render", name, *UPSTREAM, "--path", "/v1/", "--idle", "600")
    assert result.code == 0
    for part in (SERVERS[name],) if name in SERVERS else ("127.0.0.1", "9123"):
        assert part in result.out
    assert result.out.endswith("\n")
    linted = invoke("lint", "-", "--dialect", name, stdin=result.out)
    assert (linted.code, "no findings" in linted.out) == (0, True), linted.out


@each_dialect
def test_a_rendered_configuration_is_recognised_as_its_dialect(name: str) -> None:
    text = invoke("render", name, *UPSTREAM, "--path", "/v1/").out
    assert invoke("lint", "-", "--dialect", name, "--json", stdin=text).json["problems"] == []


def test_output_goes_to_a_file_or_into_json(tmp_path: Path) -> None:
    text = invoke("render", "nginx", *UPSTREAM).out
    file = tmp_path / "nginx.conf"
    result = invoke("render", "nginx", *UPSTREAM, "--output", str(file))
    assert (result.out, file.read_text()) == ("", text)
    output = invoke("render", "nginx", *UPSTREAM, "--json").json
    assert output == {
        "schema": 1, "command": "render", "dialect": "nginx", "text": text, "output": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("upstream", "origin"),
    [
        ("http://model:9000", "http://model:9000"),
        ("model:9000/", "http://model:9000"),
        ("http://model", "http://model:80"),
        ("HTTP://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_an_upstream_is_normalized_to_an_origin(upstream: str, origin: str) -> None:
    assert f"proxy_pass {origin};" in invoke("render", "nginx", "--upstream", upstream).out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--upstream", "https://model"), "--upstream: HTTPS is not supported"),
        (("--upstream", "http://model:9000/v1"), "--upstream .*without a path"),
        (("--upstream", "http://user:pw@model:9000"), "--upstream .*must be http://HOST:PORT"),
        (("--upstream", "http://model:99999"), "--upstream .*must be"),
        (("--upstream", "http://model:0"), "--upstream .*must be"),
        (("--upstream", "http://a;b:90"), "--upstream .*must be"),
        (("--upstream", "http://a\nb:90"), "--upstream .*must be"),
        (("--upstream", "ftp://model:9000"), "--upstream .*must be"),
        (("--upstream", ""), "--upstream .*must be"),
        ((*UPSTREAM, "--path", "v1"), "--path 'v1': must begin with /"),
        ((*UPSTREAM, "--path", "/v1 {"), "--path"),
        ((*UPSTREAM, "--path", "/v1\n"), "--path"),
        ((*UPSTREAM, "--path", '/"'), "--path"),
        ((*UPSTREAM, "--path", "/$x"), "--path"),
        ((*UPSTREAM, "--idle", "0"), "--idle 0: must be above 0"),
        ((*UPSTREAM, "--idle", "nan"), "--idle nan: must be above 0"),
        ((*UPSTREAM, "--idle", "inf"), "--idle inf: must be above 0"),
        ((*UPSTREAM, "--listen", "8080"), "--listen '8080': must be HOST:PORT"),
        ((*UPSTREAM, "--listen", "a:b"), "--listen 'a:b'"),
        ((*UPSTREAM, "--listen", "a;b:80"), "--listen"),
        ((*UPSTREAM, "--listen", "127.0.0.1:0"), "--listen"),
        ((*UPSTREAM, "--listen", "127.0.0.1:٣"), "--listen"),
    ],
)  # fmt: skip
def test_values_with_special_characters_are_rejected(args: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        invoke("render", "nginx", *args)


def test_an_unknown_dialect_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=f"there is no dialect 'iis'; known: {', '.join(NAMES)}"):
        invoke("render", "iis", *UPSTREAM)
