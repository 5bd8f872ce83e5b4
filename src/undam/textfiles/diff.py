"""Presentation of edits: changed lines, regions by line and column, and unified diffs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import islice

from undam.textfiles.edits import Edit, apply_edits
from undam.textfiles.source import Source

# A fix usually changes one or two lines. For larger changes, this limit keeps the output short.
MAX_LINES = 12
# C escapes for file names in a diff.
_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
    '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_NO_NEWLINE = "\n\\ No newline at end of file\n"


def changed_lines(source: Source, edits: Sequence[Edit]) -> list[str]:
    """Return the lines that the edits remove, prefixed "-", and those that they add, prefixed "+".

    At most ``MAX_LINES`` lines are returned.
    """
    if not edits:
        return []
    start, _ = source.line_span(min(edit.start for edit in edits))
    _, end = source.line_span(max(edit.end for edit in edits))
    moved = [Edit(edit.start - start, edit.end - start, edit.text) for edit in edits]
    before = source.written[start:end]
    after = apply_edits(before, moved)
    diff = difflib.unified_diff(_lines(before), _lines(after), n=0)
    lines = (line.rstrip("\r\n") for line in diff if line[0] in "+-")
    return list(islice(lines, 2, 2 + MAX_LINES))  # skip the two header lines


def region(source: Source, edit: Edit) -> dict[str, int]:
    """Return the region that an edit replaces; its end is the position after the last character."""
    line, column = source.position(edit.start)
    end_line, end_column = source.position(edit.end)
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column}


def file_diff(path: str, before: str, after: str) -> Iterator[str]:
    """Yield a unified diff for ``patch -p1`` or ``git apply``; line endings are kept.

    Unusual names are quoted as git quotes them, so that they cannot forge lines of the output.
    """
    name = path.lstrip("/")
    names = (quoted_name(f"a/{name}"), quoted_name(f"b/{name}"))
    for line in difflib.unified_diff(_lines(before), _lines(after), *names):
        yield line if line.endswith("\n") else line + _NO_NEWLINE


def quoted_name(path: str) -> str:
    """Return a path in the form in which git writes it in a diff.

    A name with a control character, a quote, a backslash or a character outside ASCII is quoted as
    in C, with the octal value of each byte. A tab ends any other name with a space.
    """
    octets = path.encode("utf-8", "surrogateescape")
    if path.isascii() and path.isprintable() and not set(path) & set('"\\'):
        return f"{path}\t" if " " in path else path
    return '"' + "".join(map(_quoted_octet, octets)) + '"'


def _quoted_octet(octet: int) -> str:
    character = chr(octet)
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if " " <= character <= "~" else f"\\{octet:03o}"


def _lines(text: str) -> list[str]:
    """Split a text only at line feeds, as ``diff`` does."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines
