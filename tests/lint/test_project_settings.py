"""Project settings: the nearest undam.toml or pyproject.toml, and overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_files import write
from support.undam_command import invoke
from undam.errors import UsageError

NGINX = """\
http {
    server {
        proxy_read_timeout 400s;
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;
            proxy_http_version 1.1;
            proxy_buffering off;
        }
        location /tokens/ {
            proxy_pass http://127.0.0.1:9001;
        }
    }
}
"""


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("nginx.conf", NGINX)


def codes(*args: str) -> list[str]:
    """Return the reported rules, limited to the two rules that these tests use."""
    reported = invoke("lint", *args, "--json").codes
    return [code for code in ("NGX101", "NGX401") if code in reported]


def test_without_settings_the_defaults_apply() -> None:
    assert codes("nginx.conf") == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--heartbeat", "300"), ["NGX401"]),
        (("--stream", "/tokens/"), ["NGX101"]),
        (("--stream", "/tokens/", "--stream", "/v1/", "--heartbeat", "300"), ["NGX101", "NGX401"]),
        (("--stream", "/tokens/", "--ignore", "NGX1"), []),
        (("--stream", "/tokens/", "--ignore", "proxy-buffering-on"), []),
        (("--stream", "/tokens/", "--select", "hap,NGX1"), ["NGX101"]),
        (("--stream", "/tokens/", "--select", "NGX4"), []),
    ],
)
def test_options_enable_rules(flags: tuple[str, ...], expected: list[str]) -> None:
    assert codes("nginx.conf", *flags) == expected


def test_the_nearest_settings_file_applies() -> None:
    write("a/b/nginx.conf", NGINX)
    write("undam.toml", "stream = ['/tokens/']\n")
    assert codes("a") == ["NGX101"]
    write("a/pyproject.toml", "[tool.other]\nx = 1\n")  # no table [tool.undam]
    assert codes("a") == ["NGX101"]
    write("a/pyproject.toml", "[tool.undam]\nheartbeat = 300\n")
    assert codes("a") == ["NGX401"]
    write("a/undam.toml", "")
    assert codes("a") == []
    assert codes("a", "--config", "undam.toml") == ["NGX101"]
    assert codes("a", "--stream", "/tokens/") == ["NGX101"]


def test_each_file_has_the_settings_of_its_folder() -> None:
    write("a/nginx.conf", NGINX)
    write("b/nginx.conf", NGINX)
    write("a/undam.toml", "heartbeat = 300\n")
    assert [one["path"] for one in invoke("lint", "a", "b", "--json").json["findings"]
            if one["code"] == "NGX401"] == ["a/nginx.conf"]  # fmt: skip


def test_standard_input_has_the_settings_of_the_working_directory() -> None:
    write("undam.toml", "heartbeat = 300\nper-file = { '*' = ['NGX1'] }\n")
    assert "NGX401" in invoke("lint", "-", "--json", stdin=NGINX).codes


def test_options_replace_settings_and_ignored_rules_add_up() -> None:
    write("undam.toml", "ignore = ['NGX401']\nselect = ['HAP']\nheartbeat = 300\n")
    assert codes("nginx.conf", "--select", "NGX") == []
    write("undam.toml", "select = ['HAP']\nheartbeat = 300\n")
    assert codes("nginx.conf") == []
    assert codes("nginx.conf", "--select", "NGX") == ["NGX401"]
    assert codes("nginx.conf", "--select", "NGX", "--heartbeat", "10") == []


@pytest.mark.parametrize("here", [".", "a", "a/old"])
def test_path_patterns_are_relative_to_the_settings_file(
    here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("undam.toml", "heartbeat = 300\n[per-file]\n'a/old/*' = ['NGX4']\n")
    write("a/old/nginx.conf", NGINX)
    write("a/new/nginx.conf", NGINX)
    monkeypatch.chdir(tmp_path / here)
    for given in ("", str(tmp_path)):
        base = Path(given) if given else Path(*[".."] * len(Path(here).parts))
        old, new = base / "a/old/nginx.conf", base / "a/new/nginx.conf"
        assert codes(str(old)) == []
        assert codes(str(new)) == ["NGX401"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("undam.toml", "colour = 1", r"^undam.toml: unknown setting 'colour'; known: "),
        ("undam.toml", "heartbeat = 'x'", r"^undam.toml: 'heartbeat' must be a number"),
        ("undam.toml", "select = 'NGX'", r"^undam.toml: 'select' must be a list of strings"),
        ("undam.toml", "select = ['NGX999']", r"there is no rule 'NGX999'; did you mean NGX"),
        ("undam.toml", "ignore = ['']", r"^undam.toml: there is no rule ''"),
        ("undam.toml", "per-file = {x = ['y']}", r"^undam.toml: there is no rule 'y'"),
        ("undam.toml", "a = 1\nb =\n", r"^undam.toml: is not TOML: .*line 2"),
        ("undam.toml", "a = " + "[" * 9000, r"^undam.toml: is not TOML: "),
        ("pyproject.toml", "[tool]\nundam = 3", r"^pyproject.toml \[tool.undam\]: must be a table"),
        ("pyproject.toml", "[tool.undam]\nx = 3", r"^pyproject.toml \[tool.undam\]: unknown"),
    ],
)  # fmt: skip
def test_an_invalid_setting_is_reported_with_file_and_key(
    file: str, text: str, message: str
) -> None:
    write(file, text)
    with pytest.raises(UsageError, match=message):
        invoke("lint", "nginx.conf")


def test_a_settings_file_that_is_not_text_is_reported() -> None:
    Path("undam.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"^undam.toml: cannot be read"):
        invoke("lint", "nginx.conf")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--select", "NGX999"), "--select/--ignore: there is no rule 'NGX999'; did you mean "),
        (("--ignore", "@@@"), "there is no rule '@@@'; `undam rules` lists all"),
        (("--heartbeat", "nan"), "--heartbeat nan: must be a number"),
        (("--config", "gone.toml"), "gone.toml: cannot be read"),
        (("--config", "pyproject.toml"), r"pyproject.toml: has no table \[tool.undam\]"),
    ],
)
def test_invalid_options_are_reported(flags: tuple[str, ...], message: str) -> None:
    write("pyproject.toml", "[tool.other]\n")
    with pytest.raises(UsageError, match=message):
        invoke("lint", "nginx.conf", *flags)
