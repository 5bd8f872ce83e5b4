"""Files that include each other are linted once, and the number of includes per run is limited."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.undam_command import invoke
from undam.lint import includes, lint_paths

ROUTE = "server { location /v1/ { proxy_pass http://m; proxy_buffering on; } }\n"
DIALECTS = {
    "nginx": ("{}.conf", f"include *.conf;\n{ROUTE}"),
    "caddy": ("{}.caddy", "import *.caddy\n"),
    "apache": ("{}.conf", "Include *.conf\nProxyPass /v1 http://m/v1\n"),
    "lighttpd": ("{}.conf", 'include "*.conf"\n'),
    "squid": ("{}.conf", "include *.conf\n"),
}


def write(folder: Path, dialect: str, count: int) -> list[str]:
    name, text = DIALECTS[dialect]
    paths = [folder / name.format(f"a{number:02}") for number in range(count)]
    for path in paths:
        path.write_text(text)
    return [str(path) for path in paths]


def opened(folder: Path, dialect: str, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of included files that one run opens."""
    taken = 0
    original = includes.IncludeBudget.take

    def take(self: includes.IncludeBudget) -> bool:
        nonlocal taken
        taken += 1
        return original(self)

    monkeypatch.setattr(includes.IncludeBudget, "take", take)
    monkeypatch.chdir(folder)
    paths = write(folder, dialect, count)
    invoke("lint", "--dialect", dialect, *paths)
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("count", [6, 12, 50])
def test_files_that_include_each_other_open_a_bounded_number_of_includes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str, count: int
) -> None:
    begun = time.process_time()
    assert opened(tmp_path, dialect, count, monkeypatch) < 2 * includes.MAX_OPENED
    assert time.process_time() - begun < 15


def test_every_file_of_a_circle_is_linted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "nginx", 5)
    report = lint_paths(".")
    assert len(report.files) == 5
    found = {one.path for one in report.diagnostics if one.rule.code == "NGX101"}
    assert len(found) == 5


def test_the_limit_of_a_run_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(includes, "MAX_OPENED", 3)
    (tmp_path / "part").mkdir()
    for number in range(5):
        (tmp_path / "part" / f"{number}.conf").write_text("gzip off;\n")
    (tmp_path / "nginx.conf").write_text(f"http {{ include part/*.conf;\n{ROUTE} }}\n")
    report = lint_paths("nginx.conf")
    assert any("too many includes in this run" in one.what for one in report.unread)
