"""Settings of lint: flags, and the nearest undam.toml or pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.undam_in_process import call
from undam.errors import UsageError

NGINX = """\
http {
    server {
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 40s;
        }
        location /tokens/ {
            proxy_pass http://127.0.0.1:9001;
        }
    }
}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put("nginx.conf", NGINX)


def put(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, "utf-8")
    return name


def codes(*args: str) -> list[str]:
    """Of the findings, each once, without those that the case does not aim at."""
    found = call("lint", *args, "--json").codes
    return [code for code in ("NGX101", "NGX401") if code in found]


def test_nothing_is_set() -> None:
    assert codes("nginx.conf") == []


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (("--heartbeat", "30"), ["NGX401"]),
        (("--stream", "/tokens/"), ["NGX101"]),
        (("--stream", "/tokens/", "--stream", "/v1/", "--heartbeat", "30"), ["NGX101", "NGX401"]),
        (("--stream", "/tokens/", "--ignore", "NGX1"), []),
        (("--stream", "/tokens/", "--ignore", "proxy-buffering-on"), []),
        (("--stream", "/tokens/", "--select", "hap,NGX1"), ["NGX101"]),
        (("--stream", "/tokens/", "--select", "NGX4"), []),
    ],
)
def test_flags(flags: tuple[str, ...], wanted: list[str]) -> None:
    assert codes("nginx.conf", *flags) == wanted


def test_nearest_file_of_settings_is_taken() -> None:
    put("a/b/nginx.conf", NGINX)
    put("undam.toml", "stream = ['/tokens/']\n")
    assert codes("a") == ["NGX101"]
    put("a/pyproject.toml", "[tool.other]\nx = 1\n")  # has none of ours
    assert codes("a") == ["NGX101"]
    put("a/pyproject.toml", "[tool.undam]\nheartbeat = 30\n")
    assert codes("a") == ["NGX401"]
    put("a/undam.toml", "")
    assert codes("a") == []
    assert codes("a", "--config", "undam.toml") == ["NGX101"]
    assert codes("a", "--stream", "/tokens/") == ["NGX101"]


def test_each_file_has_its_own() -> None:
    put("a/nginx.conf", NGINX)
    put("b/nginx.conf", NGINX)
    put("a/undam.toml", "heartbeat = 30\n")
    assert [one["path"] for one in call("lint", "a", "b", "--json").json["findings"]
            if one["code"] == "NGX401"] == ["a/nginx.conf"]  # fmt: skip


def test_standard_input_has_those_of_the_working_directory() -> None:
    put("undam.toml", "heartbeat = 30\nper-file = { '*' = ['NGX1'] }\n")
    assert "NGX401" in call("lint", "-", "--json", stdin=NGINX).codes


def test_flags_go_before_and_ignored_rules_add_up() -> None:
    put("undam.toml", "ignore = ['NGX401']\nselect = ['HAP']\nheartbeat = 30\n")
    assert codes("nginx.conf", "--select", "NGX") == []
    put("undam.toml", "select = ['HAP']\nheartbeat = 30\n")
    assert codes("nginx.conf") == []
    assert codes("nginx.conf", "--select", "NGX") == ["NGX401"]
    assert codes("nginx.conf", "--select", "NGX", "--heartbeat", "10") == []


@pytest.mark.parametrize("here", [".", "a", "a/old"])
def test_patterns_start_from_the_folder_of_their_file(
    here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("undam.toml", "heartbeat = 30\n[per-file]\n'a/old/*' = ['NGX4']\n")
    put("a/old/nginx.conf", NGINX)
    put("a/new/nginx.conf", NGINX)
    monkeypatch.chdir(tmp_path / here)
    for given in ("", str(tmp_path)):
        base = Path(given) if given else Path(*[".."] * len(Path(here).parts))
        old, new = base / "a/old/nginx.conf", base / "a/new/nginx.conf"
        assert codes(str(old)) == []
        assert codes(str(new)) == ["NGX401"]


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
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
def test_wrong_settings_are_named_by_file_and_key(file: str, text: str, complaint: str) -> None:
    put(file, text)
    with pytest.raises(UsageError, match=complaint):
        call("lint", "nginx.conf")


def test_settings_that_are_no_text_are_named() -> None:
    Path("undam.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"^undam.toml: cannot be read"):
        call("lint", "nginx.conf")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--select", "NGX999"), "--select/--ignore: there is no rule 'NGX999'; did you mean "),
        (("--ignore", "@@@"), "there is no rule '@@@'; `undam rules` lists all"),
        (("--heartbeat", "nan"), "--heartbeat nan: must be a number"),
        (("--config", "gone.toml"), "gone.toml: cannot be read"),
        (("--config", "pyproject.toml"), r"pyproject.toml: has no table \[tool.undam\]"),
    ],
)
def test_wrong_flags_are_named(flags: tuple[str, ...], complaint: str) -> None:
    put("pyproject.toml", "[tool.other]\n")
    with pytest.raises(UsageError, match=complaint):
        call("lint", "nginx.conf", *flags)
