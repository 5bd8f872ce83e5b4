"""`undam render`: complete texts of every dialect, and nothing in them that was not meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.undam_in_process import call
from undam.errors import UsageError
from undam.lint import DIALECTS

NAMES = [dialect.name for dialect in DIALECTS]
each_dialect = pytest.mark.parametrize("name", NAMES)
UPSTREAM = ("--upstream", "http://127.0.0.1:9123")


@each_dialect
def test_what_is_written_names_the_upstream_and_is_clean(name: str) -> None:
    said = call("render", name, *UPSTREAM, "--path", "/v1/", "--idle", "600")
    assert said.code == 0
    assert "127.0.0.1" in said.out
    assert "9123" in said.out
    assert said.out.endswith("\n")
    linted = call("lint", "-", "--dialect", name, stdin=said.out)
    assert (linted.code, "no findings" in linted.out) == (0, True), linted.out


@each_dialect
def test_it_is_recognised_for_what_it_is(name: str) -> None:
    text = call("render", name, *UPSTREAM, "--path", "/v1/").out
    assert call("lint", "-", "--dialect", name, "--json", stdin=text).json["problems"] == []


def test_it_goes_to_a_file_or_into_json(tmp_path: Path) -> None:
    text = call("render", "nginx", *UPSTREAM).out
    file = tmp_path / "nginx.conf"
    said = call("render", "nginx", *UPSTREAM, "--output", str(file))
    assert (said.out, file.read_text()) == ("", text)
    told = call("render", "nginx", *UPSTREAM, "--json").json
    assert told == {
        "schema": 1, "command": "render", "dialect": "nginx", "text": text, "output": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("http://model:9000", "http://model:9000"),
        ("model:9000/", "http://model:9000"),
        ("http://model", "http://model:80"),
        ("HTTP://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_forms_of_an_upstream(given: str, written: str) -> None:
    assert f"proxy_pass {written};" in call("render", "nginx", "--upstream", given).out


@pytest.mark.parametrize(
    ("args", "complaint"),
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
def test_what_could_mean_more_in_a_configuration_is_refused(
    args: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        call("render", "nginx", *args)


def test_unknown_dialect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=f"there is no dialect 'iis'; known: {', '.join(NAMES)}"):
        call("render", "iis", *UPSTREAM)
