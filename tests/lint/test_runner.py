"""`lint_paths` and `fix_paths`: the public API for files and folders."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.lint import (
    LintOptions,
    Safety,
    Settings,
    SettingsOverrides,
    fix_paths,
    lint_paths,
)
from undam.rules import Severity

DOCS = Path(__file__).parents[2] / "docs" / "lint.md"
BAD = """\
events {}
http {
    server {
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;
        }
    }
}
"""
FIXED = BAD.replace("9000;\n", "9000;\n            proxy_buffering off;\n")


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deploy").mkdir()
    Path("deploy/nginx.conf").write_text(BAD)
    Path("pyproject.toml").write_text("[tool.undam]\nheartbeat = 15\ntarget = { nginx = '1.22' }\n")


def test_the_example_in_the_documentation_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    lua = "server {\n listen 1;\n location /v1/ { set_by_lua_block $a { b() } }\n}\n"
    Path("deploy/lua.conf").write_text(lua)
    Path("deploy/broken").mkdir()
    Path("deploy/broken/nginx.conf").write_text("http {\n")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(example, str(DOCS), "exec"), {})
    assert out.getvalue().splitlines() == [
        "deploy/nginx.conf:5:13 error NGX101",
        "  +            proxy_buffering off;",
        "deploy/lua.conf:3 not read: the Lua code of set_by_lua_block",
        "passed over deploy/broken/nginx.conf: not read: line 1: this block is not closed",
    ]


def test_the_report_has_diagnostics_files_and_dialects() -> None:
    report = lint_paths("deploy")
    (one,) = report.diagnostics
    assert (one.path, one.line, one.column, one.length) == ("deploy/nginx.conf", 5, 13, 32)
    assert (one.rule.code, one.severity, one.rule.safety) == (
        "NGX101",
        Severity.ERROR,
        Safety.SAFE,
    )
    assert report.files == ("deploy/nginx.conf",)
    assert report.dialects["deploy/nginx.conf"].name == "nginx"
    assert (report.unread, report.problems) == ((), ())
    assert report.has_faults


def test_paths_may_be_path_objects_one_or_several() -> None:
    expected = lint_paths("deploy").diagnostics
    assert lint_paths(Path("deploy")).diagnostics == expected
    assert lint_paths([Path("deploy"), "deploy/nginx.conf"]).diagnostics == expected
    assert lint_paths([]).files == ()


def test_settings_replace_those_of_the_project() -> None:
    Path("undam.toml").write_text("ignore = ['NGX101']\nheartbeat = 15\n")
    assert lint_paths("deploy").diagnostics == ()
    assert lint_paths("deploy", Settings(heartbeat_s=15)).has_faults
    ignored = Settings(heartbeat_s=15, per_file={"deploy/*": ("NGX101",)})
    assert lint_paths("deploy", ignored).diagnostics == ()


def test_overrides_take_precedence_over_settings() -> None:
    options = LintOptions(overrides=SettingsOverrides(select=("HAP",)))
    assert lint_paths("deploy", Settings(), options=options).diagnostics == ()


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (Settings(select=("NGX999",)), LintOptions(), "settings: there is no rule 'NGX999'"),
        (
            None,
            LintOptions(overrides=SettingsOverrides(ignore=("x",))),
            "overrides: there is no rule 'x'",
        ),
        (None, LintOptions(dialect="iis"), "there is no dialect 'iis'"),
    ],
)
def test_unknown_names_are_usage_errors(
    settings: Settings | None, options: LintOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        lint_paths("deploy", settings, options=options)


def test_progress_is_reported_before_each_file() -> None:
    Path("deploy/b.conf").write_text(BAD)
    calls: list[tuple[str, int, int]] = []
    lint_paths("deploy", on_progress=lambda *args: calls.append(args))
    assert calls == [("deploy/b.conf", 0, 2), ("deploy/nginx.conf", 1, 2)]


def test_fixes_are_applied_in_memory_or_to_the_files() -> None:
    report = fix_paths("deploy")
    (change,) = report.changes
    assert (change.before, change.after, change.written) == (BAD, FIXED, False)
    assert change.diff()[:2] == ["--- a/deploy/nginx.conf\n", "+++ b/deploy/nginx.conf\n"]
    assert report.content("deploy/nginx.conf").decode() == FIXED
    assert Path("deploy/nginx.conf").read_text() == BAD
    # The lint report still refers to the text from before the fixes.
    (one,) = report.lint.diagnostics
    assert report.lint.source(one).text == BAD
    (change,) = fix_paths("deploy", write=True).changes
    assert change.written
    assert Path("deploy/nginx.conf").read_text() == FIXED


def test_a_file_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.conf"
    outside.write_text(BAD)
    Path("deploy/nginx.conf").unlink()
    Path("deploy/nginx.conf").symlink_to(outside)
    report = fix_paths("deploy", write=True)
    assert [change.written for change in report.changes] == [False]
    (problem,) = report.problems
    assert problem.message == f"is a link to {outside}; pass that path to fix it"
    assert report.lint.problems == ()
