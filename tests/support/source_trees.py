"""Syntax trees of `src/undam`, parsed once per process for the style and architecture tests."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

import undam

SOURCE = Path(undam.__file__).parent


@cache
def source_trees() -> list[tuple[Path, ast.Module]]:
    """Return (path, syntax tree) for each source file."""
    # The trees have half a million nodes; with garbage collection on, parsing takes much longer.
    gc.disable()
    try:
        trees = [
            (path, ast.parse(path.read_text("utf-8"))) for path in sorted(SOURCE.rglob("*.py"))
        ]
    finally:
        gc.enable()
    gc.freeze()
    return trees


@cache
def source_nodes() -> list[tuple[Path, list[ast.AST]]]:
    """Return (path, all nodes of the syntax tree) for each source file."""
    return [(path, list(ast.walk(tree))) for path, tree in source_trees()]
