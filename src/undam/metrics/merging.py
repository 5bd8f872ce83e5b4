"""Dataclasses that merge field by field.

The metadata of each field holds its merge rule, a function ``(mine, theirs) -> merged``.
``merge_fields`` raises KeyError for a field without a rule, so no field can be forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from operator import add
from typing import Any

_RULE = "merge"

Metadata = Mapping[str, Callable[[Any, Any], Any]]


def merged_by(rule: Callable[[Any, Any], Any]) -> Metadata:
    """Return field metadata that gives a dataclass field this merge rule."""
    return {_RULE: rule}


def merge_rule(one: Field[Any]) -> Callable[[Any, Any], Any]:
    """Return the merge rule of a field; raise KeyError if the field has no rule."""
    rule: Callable[[Any, Any], Any] = one.metadata[_RULE]
    return rule


def merge_fields(into: Any, other: Any) -> None:
    """Merge each field of the dataclass ``other`` into the same field of ``into``."""
    for one in fields(into):
        rule = merge_rule(one)
        setattr(into, one.name, rule(getattr(into, one.name), getattr(other, one.name)))


def _earlier(mine: int | None, theirs: int | None) -> int | None:
    return min((value for value in (mine, theirs) if value is not None), default=None)


def _later(mine: int | None, theirs: int | None) -> int | None:
    return max((value for value in (mine, theirs) if value is not None), default=None)


def _add_counts(mine: Counter[Any], theirs: Counter[Any]) -> Counter[Any]:
    mine.update(theirs)
    return mine


def _merge(mine: Any, theirs: Any) -> Any:
    mine.merge(theirs)
    return mine


SUM = merged_by(add)
"""Metadata of a count or a sum."""
MAXIMUM = merged_by(max)
"""Metadata of a maximum of non-negative values."""
EARLIEST = merged_by(_earlier)
"""Metadata of a time, or ``None``, of which the earliest is kept."""
LATEST = merged_by(_later)
"""Metadata of a time, or ``None``, of which the latest is kept."""
COUNTS = merged_by(_add_counts)
"""Metadata of a ``Counter``."""
MERGED = merged_by(_merge)
"""Metadata of an object with a ``merge`` method."""
