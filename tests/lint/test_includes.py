"""Included files: which folders are searched for them, and limits on their number."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_files import MAIN, SERVER, diagnostics, write
from undam.lint import UnreadPart, includes, lint_paths
from undam.lint.files import MAX_BYTES

pytestmark = pytest.mark.slow  # Reads and writes many files.


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_an_included_file_is_linted_once_with_the_settings_of_its_includer() -> None:
    write("nginx.conf", MAIN)
    write("conf.d/app.conf", SERVER)
    assert diagnostics(".") == [("NGX101", "conf.d/app.conf")]
    assert diagnostics("nginx.conf", "conf.d/app.conf") == [("NGX101", "conf.d/app.conf")]
    write("nginx.conf", MAIN.replace("http {", "http { proxy_buffering off;"))
    assert diagnostics(".") == []
    assert diagnostics("conf.d") == [("NGX101", "conf.d/app.conf")]


def test_files_that_include_each_other_are_linted_once() -> None:
    write("a.conf", f"include b.conf;\n{SERVER}")
    write("b.conf", f"include a.conf;\n{SERVER}")
    assert diagnostics(".") == [("NGX101", "a.conf"), ("NGX101", "b.conf")]


def test_an_invalid_included_file_is_reported_once() -> None:
    write("nginx.conf", MAIN)
    write("conf.d/app.conf", SERVER + "server {")
    (passed,) = lint_paths(".").passed_over
    assert (passed.path, passed.kind) == ("conf.d/app.conf", "nginx file")
    assert "line 2: this block is not closed" in passed.reason
    (problem,) = lint_paths("conf.d/app.conf").problems
    assert (problem.path, problem.line, problem.column) == ("conf.d/app.conf", 2, 1)


@pytest.mark.parametrize(
    ("linted", "pattern", "file"),
    [
        ("nginx.conf", "snippets/a.conf", "snippets/a.conf"),
        ("sites-enabled/app", "snippets/a.conf", "snippets/a.conf"),  # from nginx.conf's folder
        ("nginx.conf", "/etc/nginx/snippets/a.conf", "snippets/a.conf"),
        ("sites-enabled/app", "/usr/local/nginx/conf/snippets/a.conf", "snippets/a.conf"),
        ("nginx.conf", "snippets/[a].conf", "snippets/a.conf"),
        ("nginx.conf", "snippets/*/*.conf", "snippets/a/a.conf"),
    ],
)
def test_an_include_is_resolved_from_the_folders_of_the_configuration(
    linted: str, pattern: str, file: str
) -> None:
    # The folder is outside the working directory, so only folders of the configuration are
    # searched.
    root = Path("../etc")
    write(str(root / "nginx.conf"), "events {}\n")
    write(str(root / linted), f"http {{ include {pattern}; }}\n")
    write(str(root / file), SERVER)
    found = lint_paths(root / linted).diagnostics
    assert {one.path for one in found} == {str((root / file).resolve())}


def test_an_include_is_resolved_from_the_nearest_folder_only() -> None:
    write("nginx.conf", "events {}\n")
    write("sites/app.conf", "http { include more/*.conf; }\n")
    write("sites/more/near.conf", SERVER)
    write("more/far.conf", SERVER)
    assert diagnostics("sites/app.conf") == [("NGX101", "sites/more/near.conf")]


def test_the_number_of_included_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "MAX_FILES", 20)
    for number in range(30):
        write(f"conf.d/{number}.conf", SERVER + "include conf.d/*.conf;\n")
    write("nginx.conf", MAIN)
    report = lint_paths("nginx.conf")
    assert 0 < len(report.files) <= 21
    assert "conf.d/*.conf (too many included files)" in {one.what for one in report.unread}


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("../../secret.conf", "outside the folders that may be read"),
        ("link.conf", "outside the folders that may be read"),
        ("{outside}", "outside the folders that may be read"),
        ("*/*/*/*.conf", "too many wildcards"),
        ("gone.conf", "not found"),
        ("large.conf", "not text, or larger than 1 MB"),
        ("binary.conf", "not text, or larger than 1 MB"),
    ],
)
def test_an_include_that_is_not_opened_is_reported_with_its_line(
    pattern: str, why: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.conf"
    secret.write_text("proxy_pass hunter2", "utf-8")
    pattern = pattern.format(outside=secret)
    write("a/nginx.conf", f"# include {pattern};\nhttp {{\n  include {pattern};\n}}\n")
    write("a/large.conf", "#" * (MAX_BYTES + 1))
    Path("a/binary.conf").write_bytes(b"\0")
    Path("a/link.conf").symlink_to(secret)
    report = lint_paths("a/nginx.conf")
    assert report.unread == (UnreadPart("a/nginx.conf", 3, f"{pattern} ({why})"),)
    assert "hunter2" not in repr(report)


def test_missing_files_of_the_distribution_are_not_reported() -> None:
    write("nginx.conf", "http { include mime.types; include fastcgi_params; include x/*.conf; }\n")
    assert lint_paths("nginx.conf").unread == ()


def test_includes_may_lead_to_other_named_folders() -> None:
    write("../shared/a.conf", SERVER)
    write("../app/nginx.conf", "http { include ../shared/a.conf; }\n")
    assert diagnostics("../app/nginx.conf") == []
    found = {(code, Path(path).resolve()) for code, path in diagnostics("../app", "../shared")}
    assert ("NGX101", Path("../shared/a.conf").resolve()) in found


def test_a_file_of_the_distribution_that_is_not_opened_is_not_listed() -> None:
    write("../mime.types", "types {}\n")
    Path("mime.types").symlink_to("../mime.types")
    write("nginx.conf", f"events {{}}\nhttp {{ include mime.types;\n{SERVER} }}\n")
    assert lint_paths("nginx.conf").unread == ()
