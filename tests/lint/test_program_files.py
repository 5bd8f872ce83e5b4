"""Source code in a lint run: file recognition, and programs that cannot be parsed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from undam.lint import LintOptions, lint_paths
from undam.lint.dialects.javascript_app import parser
from undam.lint.registry import recognise_program

PYTHON = "from fastapi.responses import StreamingResponse\n"
JAVASCRIPT = "const source = new EventSource('/events');\n"


def test_source_code_is_recognised_by_dialects_of_programs_only() -> None:
    python = recognise_program("a.py", PYTHON)
    javascript = recognise_program("a.js", JAVASCRIPT)
    assert python is not None
    assert javascript is not None
    assert (python.name, javascript.name) == ("python-app", "javascript-app")
    assert recognise_program("nginx.conf", "server { location / { proxy_pass http://a; } }") is None


def test_a_dialect_of_the_user_leaves_out_other_programs(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    (tmp_path / "a.js").write_text(JAVASCRIPT)
    report = lint_paths(tmp_path, options=LintOptions(dialect="python-app"))
    assert report.files == (str(tmp_path / "a.py"),)


def test_a_program_whose_extra_is_missing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.js").write_text(JAVASCRIPT)
    monkeypatch.setitem(sys.modules, "tree_sitter_typescript", None)
    parser._parser.cache_clear()
    (one,) = lint_paths(tmp_path).passed_over
    assert "install undam[javascript]" in one.reason
