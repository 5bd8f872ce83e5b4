"""The laws of the house that import-linter cannot see."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import undam

_SOURCE = Path(undam.__file__).parent
_FILES = sorted(_SOURCE.rglob("*.py"))

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_ARGUMENTS = 6
HALLS = {"utils", "common", "helpers", "core", "misc"}
"""Names of rooms that say nothing of what is in them."""

PURE_ROOMS = (
    "sse",
    "timing",
    "rules",
    "apis",
    "record",
    "diagnosis",
    "intermediaries",
    "lint.dialects",
    "metrics",
    "textfiles",
    "report",
)
"""Floors 1 and 2."""

STARTERS = {
    "asyncio",
    "click",
    "httptools",
    "multiprocessing",
    "rich",
    "ssl",
    "subprocess",
    "uvloop",
}
"""Modules that no import of a pure room may bring along."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions() -> Iterator[tuple[str, _Function]]:
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, _Function):
                yield f"{path.relative_to(_SOURCE)}:{node.lineno} {node.name}", node


def _positional(function: _Function) -> int:
    arguments = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return len([name for name in arguments if name not in {"self", "cls"}])


def _name(path: Path) -> str:
    return path.relative_to(_SOURCE).as_posix()


def test_the_source_was_found() -> None:
    assert {"errors.py", "sse/parse.py"} <= {_name(path) for path in _FILES}
    assert len(list(_functions())) > 50


def test_no_file_is_a_great_hall() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in _FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_a_corridor() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in _functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_six_arguments_at_most_are_positional() -> None:
    counts = {name: _positional(node) for name, node in _functions()}
    assert {name: count for name, count in counts.items() if count > MAX_ARGUMENTS} == {}


def test_rooms_are_named_for_what_is_in_them() -> None:
    parts = {part for path in _FILES for part in path.relative_to(_SOURCE).with_suffix("").parts}
    assert parts & HALLS == set()


def test_every_public_module_says_what_it_is() -> None:
    public = [path for path in _FILES if not path.name.startswith("_") or path.stem == "__init__"]
    silent = [_name(path) for path in public if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_work_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3 + ":")
    found = [_name(path) for path in _FILES if any(mark in path.read_text() for mark in marks)]
    assert found == []


def test_every_pure_room_is_there() -> None:
    assert [
        room
        for room in PURE_ROOMS
        if not (_SOURCE.joinpath(*room.split(".")) / "__init__.py").is_file()
    ] == []


@pytest.mark.parametrize(
    "module", ["undam", "undam.errors", *(f"undam.{room}" for room in PURE_ROOMS)]
)
def test_importing_starts_nothing(module: str) -> None:
    # In a process of its own: this one has imported everything long ago. -S and -I keep out what
    # site-packages and the environment would import by themselves; PyYAML is found all the same.
    packages = sysconfig.get_paths()["purelib"]
    program = (
        f"import sys; sys.path[:0] = [{str(_SOURCE.parent)!r}, {packages!r}];"
        f"before = set(sys.modules);"
        f"import threading, warnings; filters = list(warnings.filters);"
        f"import {module};"
        f"assert threading.active_count() == 1 and warnings.filters == filters;"
        f"print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    brought = set(run.stdout.split())
    assert module in brought
    assert brought & STARTERS == set()
