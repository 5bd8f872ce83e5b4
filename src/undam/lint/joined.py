"""Mistakes at one place told once, with the edits of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from undam.lint.diagnostic import Diagnostic


def joined(mistakes: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """One for each rule and place: what several routes share is mended at all of them at once."""
    places: dict[tuple[str, int, int], list[Diagnostic]] = {}
    for one in mistakes:
        places.setdefault((one.rule.code, one.line, one.column), []).append(one)
    return tuple(
        replace(same[0], edits=tuple(dict.fromkeys(edit for one in same for edit in one.edits)))
        for same in places.values()
    )
