"""Programs in folders: which files are read or skipped, and framework versions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from undam.lint import LintOptions, LintReport, fix_paths, lint_paths
from undam.lint.dialects.javascript_app import parser
from undam.rules import Severity

FASTAPI = """\
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from fastapi.responses import StreamingResponse
import time
app = FastAPI(); app.add_middleware(GZipMiddleware)
@app.post('/v1/chat/completions')
async def chat():
    async def gen():
        for i in range(3):
            time.sleep(1); yield f'data: {i}\\n\\n'
    return StreamingResponse(gen())
"""
EXPRESS = (
    "const app = require('express')(); app.use(require('compression')()); "
    "app.get('/api/chat', (req, res) => { res.setHeader('Content-Type', 'text/event-stream'); "
    "res.write('data: 1\\n\\n') })\n"
)
NEXT = (
    "module.exports = { compress: true, async rewrites() { return [{ "
    "source: '/api/:path*', destination: 'http://backend:8000/:path*' }] } }\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def found(report: LintReport) -> set[tuple[str, str, int, Severity]]:
    return {(one.path, one.rule.code, one.line, one.severity) for one in report.diagnostics}


def test_faults_of_programs_in_a_repository_are_found_at_their_line() -> None:
    write("api/main.py", FASTAPI)
    write("web/server.js", EXPRESS)
    write("web/next.config.js", NEXT)
    assert found(lint_paths(".")) == {
        ("api/main.py", "PYA101", 6, Severity.WARNING),
        ("api/main.py", "PYA106", 11, Severity.ERROR),
        ("web/server.js", "JSA101", 1, Severity.ERROR),
        ("web/server.js", "JSA201", 1, Severity.INFO),
        ("web/next.config.js", "JSA103", 1, Severity.INFO),
    }


def test_healthy_programs_have_no_diagnostics() -> None:
    healthy = FASTAPI.replace("app.add_middleware(GZipMiddleware)", "pass")
    healthy = healthy.replace("time.sleep(1)", "await asyncio.sleep(1)")
    healthy = healthy.replace("import time", "import asyncio")
    write("api/main.py", healthy)
    write("web/server.js", EXPRESS.replace("app.use(require('compression')());", ""))
    write("web/next.config.js", NEXT.replace("compress: true", "compress: false"))
    report = lint_paths(".")
    assert not report.has_faults
    assert len(report.files) == 3


@pytest.mark.parametrize(
    ("pins", "severity"),
    [
        ("fastapi==0.110.0\nstarlette==0.37.2\n", Severity.ERROR),
        ("starlette>=0.37\n", Severity.WARNING),
        ("starlette==1.10.0  # newest\n", None),
    ],
)
def test_the_version_in_a_list_of_requirements_decides(
    pins: str, severity: Severity | None
) -> None:
    write("api/main.py", FASTAPI)
    write("api/requirements.txt", pins)
    severities = {one.severity for one in lint_paths(".").diagnostics if one.rule.code == "PYA101"}
    assert severities == (set() if severity is None else {severity})


def test_a_syntax_error_is_passed_over_in_a_folder_and_a_problem_by_name() -> None:
    write("old.py", FASTAPI + "print 'Python 2'\n")
    write("new.py", FASTAPI + "match x:\n  case 1 if: pass\n")
    report = lint_paths(".")
    assert report.problems == ()
    assert sorted((one.path, one.kind) for one in report.passed_over) == [
        ("new.py", "Python program file"),
        ("old.py", "Python program file"),
    ]
    reasons = {one.path: one.reason for one in report.passed_over}
    assert "line 13: Missing parentheses" in reasons["old.py"]
    assert "line 14" in reasons["new.py"]
    (problem,) = lint_paths("old.py").problems
    assert (problem.path, problem.line) == ("old.py", 13)


def test_without_the_extra_programs_of_javascript_are_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("web/server.js", EXPRESS)
    write("api/main.py", FASTAPI)
    monkeypatch.setitem(sys.modules, "tree_sitter_typescript", None)
    parser._parser.cache_clear()
    report = lint_paths(".")
    assert report.problems == ()
    assert report.files == ("api/main.py",)
    (one,) = report.passed_over
    assert (one.path, one.reason) == (
        "web/server.js",
        "not read: install undam[javascript] to read JavaScript",
    )
    assert len(lint_paths("web/server.js").problems) == 1


def test_tests_of_programs_are_passed_over_unless_they_are_named() -> None:
    write("tests/test_main.py", FASTAPI)
    write("web/server.test.js", EXPRESS)
    report = lint_paths(".")
    assert report.files == ()
    assert {one.kind for one in report.passed_over} == {"test of a program that streams"}
    named = lint_paths("tests/test_main.py", options=LintOptions(dialect="python-app"))
    assert named.has_faults


def test_a_program_is_not_read_as_a_configuration_of_a_proxy() -> None:
    write(
        "nginx/render.py",
        'TEXT = """\nserver { listen 1; location /v1/ { proxy_pass http://a; } }\n"""\n',
    )
    write("haproxy.ts", "frontend\nbackend\n")
    report = lint_paths(".")
    assert (report.files, report.passed_over) == ((), ())


def test_fixes_are_written_to_programs() -> None:
    write("server.js", EXPRESS.replace("require('compression')()", "compression()").replace(
        "const app", "const compression = require('compression'); const app"))  # fmt: skip
    (change,) = fix_paths(".", write=True).changes
    assert change.written
    report = lint_paths(".")
    assert found(report) == set()
