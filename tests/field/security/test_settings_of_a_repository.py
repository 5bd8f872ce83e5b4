"""undam reports settings in the linted repository that hide findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.undam_command import invoke

BAD = "http { server { location /v1/ { proxy_pass http://m; proxy_buffering on; } } }\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nginx.conf").write_text(BAD)
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ('ignore = ["NGX"]', "ignore NGX"),
        ('stream = ["/nothing"]', "stream /nothing"),
        ('select = ["HAP"]', "select HAP"),
        ('[per-file]\n"*.conf" = ["NGX"]', "ignore for files *.conf: NGX"),
    ],
)
def test_settings_that_hide_findings_are_reported(folder: Path, settings: str, shown: str) -> None:
    (folder / "undam.toml").write_text(settings + "\n")
    report = invoke("lint", ".")
    assert f"settings of undam.toml: {shown} (other settings: --config FILE)" in report.out
    data = invoke("lint", ".", "--json").json
    assert data["settings"] == [{"file": "undam.toml", "restrictions": shown}]
    assert f"hidden by: {shown}" in invoke("lint", ".", "--format", "github").out
    (folder / "own.toml").write_text("")
    own = invoke("lint", ".", "--config", "own.toml", "--json").json
    assert own["settings"] == []
    assert own["findings"]


def test_harmless_settings_are_not_reported(folder: Path) -> None:
    assert invoke("lint", ".", "--json").json["settings"] == []
    (folder / "undam.toml").write_text("heartbeat = 5\n")
    assert "settings of" not in invoke("lint", ".").out


def test_control_characters_in_settings_are_escaped(folder: Path) -> None:
    (folder / "undam.toml").write_text('stream = ["/\\u001b[31m\\n::error::x"]\n')
    for args in ((), ("--format", "github")):
        out = invoke("lint", ".", *args).out
        assert "\x1b" not in out
        assert not any(line.startswith("::error::x") for line in out.splitlines())
