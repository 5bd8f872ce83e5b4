"""Architecture rules that import-linter cannot check."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.source_trees import SOURCE as _SOURCE
from support.source_trees import source_nodes, source_trees

_FILES = sorted(_SOURCE.rglob("*.py"))

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_ARGUMENTS = 6
MAX_MODULES = 15
"""Maximum number of modules in a package without subpackages, `__init__` not counted."""
DATA_PACKAGES = {"intermediaries", "intermediaries/entries", "lint/evidence/profiles"}
"""Registries of data modules, which may have more."""
EMPTY_NAMES = {"utils", "common", "helpers", "core", "misc"}
"""Names that do not describe the contents of a module."""

SHARED_CLASS_NAMES: dict[str, str] = {
    "Finish": "public in undam.asgi (sent) and in undam.client (received), with the same meaning",
    "Usage": "public in undam.asgi (sent) and in undam.client (received), with the same meaning",
}
"""Names of classes that several modules define, with the reason."""

PURE_PACKAGES = (
    "framing",
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
"""Packages that do no I/O (design rule 2)."""

HEAVY_MODULES = {
    "asyncio",
    "click",
    "httptools",
    "multiprocessing",
    "rich",
    "ssl",
    "subprocess",
    "uvloop",
}
"""Modules that importing a pure package must not load."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions() -> Iterator[tuple[str, _Function]]:
    for path, nodes in source_nodes():
        for node in nodes:
            if isinstance(node, _Function):
                yield f"{path.relative_to(_SOURCE)}:{node.lineno} {node.name}", node


def _positional(function: _Function) -> int:
    arguments = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return len([name for name in arguments if name not in {"self", "cls"}])


def _name(path: Path) -> str:
    return path.relative_to(_SOURCE).as_posix()


def _classes() -> Iterator[tuple[str, str]]:
    for path, nodes in source_nodes():
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                yield node.name, _name(path)


def _imports() -> dict[str, set[str]]:
    """Return the modules that each module imports directly, including type-only imports."""
    modules = {_dotted(path): nodes for path, nodes in source_nodes()}
    found: dict[str, set[str]] = {}
    for name, nodes in modules.items():
        targets = found.setdefault(name, set())
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    targets.add(inner if inner in modules else node.module)
            elif isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
        targets.intersection_update(modules)
        targets.discard(name)
    return found


def _dotted(path: Path) -> str:
    parts = path.relative_to(_SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in imports[waiting.pop()] - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def test_the_source_was_found() -> None:
    assert {"errors.py", "sse/parse.py"} <= {_name(path) for path in _FILES}
    assert len(list(_functions())) > 50


def test_no_file_is_too_long() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in _FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in _functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_at_most_six_arguments_are_positional() -> None:
    counts = {name: _positional(node) for name, node in _functions()}
    assert {name: count for name, count in counts.items() if count > MAX_ARGUMENTS} == {}


def test_names_say_what_is_inside() -> None:
    parts = {part for path in _FILES for part in path.relative_to(_SOURCE).with_suffix("").parts}
    assert parts & EMPTY_NAMES == set()


def test_no_package_has_too_many_modules() -> None:
    flat = Counter(path.parent for path in _FILES if path.stem != "__init__")
    large = {_name(folder): count for folder, count in flat.items() if count > MAX_MODULES}
    assert {name: count for name, count in large.items() if name not in DATA_PACKAGES} == {}


def test_a_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for name, place in _classes():
        places.setdefault(name, []).append(place)
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in shared.items() if name not in SHARED_CLASS_NAMES} == {}
    assert SHARED_CLASS_NAMES.keys() - shared.keys() == set()


def test_no_import_is_circular() -> None:
    imports = _imports()
    assert len(imports) > 100
    circular = sorted(name for name in imports if name in _reachable(name, imports))
    assert circular == []


def test_every_public_module_has_a_docstring() -> None:
    silent = [
        _name(path)
        for path, tree in source_trees()
        if (not path.name.startswith("_") or path.stem == "__init__")
        and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_no_work_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3 + ":")
    found = [_name(path) for path in _FILES if any(mark in path.read_text() for mark in marks)]
    assert found == []


def test_every_pure_package_exists() -> None:
    assert [
        package
        for package in PURE_PACKAGES
        if not (_SOURCE.joinpath(*package.split(".")) / "__init__.py").is_file()
    ] == []


@pytest.mark.parametrize(
    "module", ["undam", "undam.errors", *(f"undam.{package}" for package in PURE_PACKAGES)]
)
def test_importing_has_no_side_effects(module: str) -> None:
    # This process has already imported everything, so a separate one is used. -S and -I exclude
    # imports by site-packages and the environment, so the path to PyYAML is added explicitly.
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
    loaded = set(run.stdout.split())
    assert module in loaded
    assert loaded & HEAVY_MODULES == set()
