"""What an edit changes: as lines taken out and put in, as regions, and as a diff of files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice

from undam.lint import Diagnostic, Edit, Source, apply_edits

# A fix is a line or two; more is a file that has everything on one line.
MAX_LINES = 12
_NO_NEWLINE = "\n\\ No newline at end of file\n"


def changed_lines(source: Source, diagnostic: Diagnostic) -> list[str]:
    """The lines that its edits take out, each behind "-", and put in, each behind "+"; of very many
    the first ``MAX_LINES``."""
    if not diagnostic.edits:
        return []
    start, _ = source.line_span(min(edit.start for edit in diagnostic.edits))
    _, end = source.line_span(max(edit.end for edit in diagnostic.edits))
    moved = [Edit(one.start - start, one.end - start, one.text) for one in diagnostic.edits]
    before = source.text[start:end]
    after = apply_edits(before, moved)
    diff = difflib.unified_diff(_lines(before), _lines(after), n=0)
    lines = (line.rstrip("\r\n") for line in diff if line[0] in "+-")
    return list(islice(lines, 2, 2 + MAX_LINES))  # without the names of the files


def region(source: Source, edit: Edit) -> dict[str, int]:
    """Where an edit takes text out: places from 1, the end behind the last character."""
    line, column = source.position(edit.start)
    end_line, end_column = source.position(edit.end)
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column}


def file_diff(path: str, before: str, after: str) -> Iterator[str]:
    """A unified diff as ``patch -p1`` and ``git apply`` take it, with line ends as they are."""
    name = path.lstrip("/")
    for line in difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}"):
        yield line if line.endswith("\n") else line + _NO_NEWLINE


def _lines(text: str) -> list[str]:
    """Parted at line feeds alone, as ``diff`` does."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines
