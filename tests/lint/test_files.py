"""Discovery and decoding of configuration files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.config_files import MAIN, SERVER, diagnostics, write
from undam.lint import LintOptions, Problem, UnreadPart, fix_paths, lint_paths
from undam.lint.files import MAX_BYTES, find_candidates

pytestmark = pytest.mark.slow  # Reads and writes many files.


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def candidates(*paths: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [one.path for one in find_candidates(paths, exclude)[0]]


def test_folders_are_searched_except_for_files_that_are_never_configurations() -> None:
    for name in (
        "a/z.conf", "a/b.yaml", "a/.hidden.conf", "a/.git/config.conf", "a/.cache/x.conf",
        "a/node_modules/x.conf", "a/readme.md", "a/script.py", "a/Dockerfile", "a/LICENSE",
        "a/nginx/Makefile", "a/nginx/site", "a/.platform/nginx/x.conf", "a/logo.png",
    ):  # fmt: skip
        write(name, "x")
    expected = [
        "a/.hidden.conf", "a/Dockerfile", "a/b.yaml", "a/script.py", "a/z.conf",
        "a/.platform/nginx/x.conf", "a/nginx/site",
    ]  # fmt: skip
    assert candidates("a") == expected
    assert candidates("./a/", "a/z.conf") == expected
    assert candidates("a/.cache", "a/readme.md") == ["a/.cache/x.conf", "a/readme.md"]
    left = candidates("a", exclude=("nginx/", "*.yaml", "a/z*", "*.py", "Dockerfile"))
    assert left == ["a/.hidden.conf"]
    assert candidates("a/nginx/site", exclude=("nginx",)) == candidates("a", exclude=("a",)) == []


def test_excluded_files_have_no_diagnostics_even_if_they_are_included() -> None:
    write("nginx.conf", MAIN)
    write("conf.d/app.conf", SERVER)
    assert diagnostics(".", exclude=("conf.d",)) == []
    assert fix_paths(".", options=LintOptions(exclude=("app.conf",)), write=True).changes == ()
    assert Path("conf.d/app.conf").read_text() == SERVER


def test_a_file_name_that_is_not_utf_8_is_linted_and_fixed() -> None:
    name = os.fsdecode(b"\xff.conf")
    write(name, SERVER)
    assert diagnostics(".") == [("NGX101", name)]
    (change,) = fix_paths(".", write=True).changes
    assert change.written


def test_links_to_files_are_followed_once_and_links_to_folders_are_not() -> None:
    write("sites-available/app", SERVER)
    Path("sites-enabled").mkdir()
    Path("sites-enabled/app").symlink_to("../sites-available/app")
    Path("sites-enabled/gone").symlink_to("nowhere")
    Path("sites-enabled/loop").symlink_to("loop")
    Path("sites-enabled/up").symlink_to("..")
    os.mkfifo("sites-enabled/pipe")
    assert candidates(".") == ["sites-available/app"]
    assert candidates("sites-enabled") == ["sites-enabled/app"]
    assert candidates("sites-enabled/up/sites-enabled") == ["sites-enabled/up/sites-enabled/app"]


def test_a_large_file_is_reported_only_if_it_would_have_been_linted() -> None:
    write("a/nginx.conf", SERVER + "#" * MAX_BYTES)
    write("a/data.yaml", "x: " + "y" * MAX_BYTES)
    report = lint_paths("a")
    assert report.unread == (UnreadPart("a/nginx.conf", 1, "the file (larger than 1 MB)"),)
    assert report.problems == ()
    named = lint_paths("a/nginx.conf")
    assert named.problems == (Problem("a/nginx.conf", "is larger than 1 MB"),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_an_unreadable_folder_is_a_problem() -> None:
    write("a/nginx.conf", SERVER)
    Path("a").chmod(0)
    try:
        assert [one.path for one in lint_paths("a").problems] == ["a"]
    finally:
        Path("a").chmod(0o700)


def test_byte_order_mark_and_latin_1_are_decoded() -> None:
    Path("nginx.conf").write_bytes(b"\xef\xbb\xbf# \xe9\n" + SERVER.encode())
    (one, _) = lint_paths("nginx.conf").diagnostics
    assert (one.line, one.column) == (2, 26)
