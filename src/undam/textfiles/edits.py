"""Edits to a text: replacements of spans, which leave the rest of the text unchanged."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

from undam.textfiles.source import Source


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replacement of the characters from offset ``start`` to ``end`` (exclusive) with ``text``."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return ``text`` with the edits applied.

    Equal edits are applied once. If two edits overlap, only the one that starts first is applied.
    """
    out: list[str] = []
    at = 0
    for edit in sorted(set(edits)):
        if edit.start < at:
            continue
        out += [text[at : edit.start], edit.text]
        at = edit.end
    out.append(text[at:])
    return "".join(out)


def choose_edits(groups: Iterable[Iterable[Edit]]) -> list[Edit]:
    """Return the edits of all groups that do not conflict, in text order.

    A group is applied completely or not at all: it is omitted if it overlaps an edit of an earlier
    group. Equal edits count once, even in different groups.
    """
    chosen: list[Edit] = []
    for group in groups:
        new = sorted({edit for edit in group if not _contains(chosen, edit)})
        if not any(_overlaps(chosen, edit) for edit in new):
            for edit in new:
                insort(chosen, edit)
    return chosen


def insert_line_after(source: Source, offset: int, text: str, indent: str | None = None) -> Edit:
    """Return an edit that inserts a line after the one that contains ``offset``.

    Args:
        indent: indentation; by default, that of the preceding line.
    """
    before = source.indent_at(offset) if indent is None else indent
    start, end = source.line_span(offset)
    line = source.text[start:end]
    at = start + len(line.rstrip("\r\n"))
    return Edit(at, at, f"{line_ending(source)}{before}{text}")


def delete_line(source: Source, offset: int) -> Edit:
    """Return an edit that deletes the line that contains ``offset``."""
    return Edit(*source.line_span(offset), "")


def line_ending(source: Source) -> str:
    """Return the first line's line ending, which is assumed for the whole text."""
    at = source.text.find("\n")
    return "\r\n" if at > 0 and source.text[at - 1] == "\r" else "\n"


def _contains(chosen: list[Edit], edit: Edit) -> bool:
    at = bisect_left(chosen, edit)
    return at < len(chosen) and chosen[at] == edit


def _overlaps(chosen: list[Edit], edit: Edit) -> bool:
    """Return whether an edit overlaps one of the chosen edits.

    Two insertions at one offset do not overlap.
    """
    at = bisect_left(chosen, edit)
    into_next = at < len(chosen) and chosen[at].start < edit.end
    return into_next or (at > 0 and chosen[at - 1].end > edit.start)
