"""Changes to a text, by offsets, so that everything that is not meant stays as it was."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put ``text`` in the place of the characters from ``start`` up to ``end``."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """``text`` with all edits made; equal ones count once, and of two that overlap the first in the
    text is made."""
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
    """The edits of all groups that can be made together, in the order of the text.

    A group is made whole or not at all: one that overlaps with an edit of a group before it is
    left out. Equal edits count once, also those of different groups.
    """
    chosen: list[Edit] = []
    for group in groups:
        new = sorted({edit for edit in group if not _holds(chosen, edit)})
        if not any(_overlaps(chosen, edit) for edit in new):
            for edit in new:
                insort(chosen, edit)
    return chosen


def _holds(chosen: list[Edit], edit: Edit) -> bool:
    at = bisect_left(chosen, edit)
    return at < len(chosen) and chosen[at] == edit


def _overlaps(chosen: list[Edit], edit: Edit) -> bool:
    """Whether a character is in both; two insertions at one place are not in each other's way."""
    at = bisect_left(chosen, edit)
    into_next = at < len(chosen) and chosen[at].start < edit.end
    return into_next or (at > 0 and chosen[at - 1].end > edit.start)
