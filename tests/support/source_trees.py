"""Syntax trees of `src/undam`, parsed once per process, for tests of style and architecture."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

import undam

SOURCE = Path(undam.__file__).parent


@cache
def source_trees() -> list[tuple[Path, ast.Module]]:
    """Return each file with its tree."""
    # The trees have half a million nodes, and collections during the parsing take most of its time.
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
    """Return each file with all nodes of its tree."""
    return [(path, list(ast.walk(tree))) for path, tree in source_trees()]
