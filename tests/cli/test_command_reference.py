"""The command reference and the manual page are complete, up to date, and valid."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import click
import pytest

from undam.cli.main import undam

ROOT = Path(__file__).parents[2]


@cache
def script() -> ModuleType:
    loader = SourceFileLoader("write_commands", str(ROOT / "scripts" / "write-commands"))
    spec = importlib.util.spec_from_loader("write_commands", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def without_version(text: str) -> str:
    return re.sub(r'"undam [^"]*"', '"undam"', text)


def test_the_files_are_up_to_date() -> None:
    hint = "run .venv/bin/python scripts/write-commands"
    assert script().MARKDOWN.read_text("utf-8") == script().markdown(), hint
    written = script().MANUAL.read_text("utf-8")
    assert without_version(written) == without_version(script().manual()), hint


def test_every_command_and_option_is_in_both() -> None:
    page, manual = script().markdown(), script().manual()
    names = undam.list_commands(click.Context(undam))
    assert len(names) > 15
    for name in names:
        assert f"## undam {name}\n" in page
        assert f".SS undam {name}" in manual
    assert "`-c, --concurrency" in page
    assert "\\-\\-concurrency" in manual
    assert "## undam monitor log\n" in page


def test_text_that_looks_like_a_request_is_escaped() -> None:
    assert script()._roff(".TH\n'x\na-b\\c") == "\\&.TH\n\\&'x\na\\-b\\ec"


def test_the_formatter_has_no_warnings() -> None:
    if (groff := shutil.which("groff")) is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        [groff, "-Kutf8", "-man", "-Tutf8", "-ww", "-z"],
        input=script().manual(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
