"""Whole lines put in and taken out, with the line ends and the indent that the text has there."""

from __future__ import annotations

from undam.textfiles.edit import Edit
from undam.textfiles.source import Source


def line_after(source: Source, offset: int, text: str, indent: str | None = None) -> Edit:
    """Put a line behind the one of ``offset``, indented like it unless ``indent`` is given."""
    before = source.indent_at(offset) if indent is None else indent
    start, end = source.line_span(offset)
    line = source.text[start:end]
    at = start + len(line.rstrip("\r\n"))
    return Edit(at, at, f"{line_end(source)}{before}{text}")


def without_line(source: Source, offset: int) -> Edit:
    """Take out the line of ``offset``."""
    return Edit(*source.line_span(offset), "")


def line_end(source: Source) -> str:
    """How lines end in this text, told by the first."""
    at = source.text.find("\n")
    return "\r\n" if at > 0 and source.text[at - 1] == "\r" else "\n"
