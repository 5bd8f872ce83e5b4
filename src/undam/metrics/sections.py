"""A run cut into a bounded number of sections, by time or by number, that merge exactly.

Sections are aligned on powers of two and as narrow as the limit allows, so what comes out depends
only on what went in, never on the order or on who measured it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, Self, TypeVar


class Section(Protocol):
    """What a section holds."""

    def merge(self, other: Self) -> None:
        """Add what ``other`` holds."""
        ...


T = TypeVar("T", bound=Section)


class Sections(Generic[T]):
    """At most ``most`` sections over all places that were asked for.

    Args:
        make: an empty section.
        shift: a section is at least ``2 ** shift`` places wide.
    """

    __slots__ = ("_make", "_most", "_rows", "shift")

    def __init__(self, make: Callable[[], T], *, most: int, shift: int = 0) -> None:
        self._make = make
        self._most = most
        self._rows: dict[int, T] = {}
        self.shift = shift

    def at(self, place: int) -> T:
        """The section in which ``place`` lies; valid until the next call."""
        row = self._rows.get(place >> self.shift)
        if row is None:
            row = self._rows[place >> self.shift] = self._make()
            if self._is_too_long():
                self._widen(self.shift + 1)
                return self.at(place)
        return row

    def __iadd__(self, other: Sections[T]) -> Sections[T]:
        self._widen(max(self.shift, other.shift))
        for key, row in other._rows.items():
            self.at(key << other.shift).merge(row)
        return self

    def __iter__(self) -> Iterator[tuple[int, T]]:
        """Each section that holds something, with its first place, ascending."""
        for key, row in sorted(self._rows.items(), key=lambda pair: pair[0]):
            yield key << self.shift, row

    def __len__(self) -> int:
        return len(self._rows)

    def _is_too_long(self) -> bool:
        return bool(self._rows) and max(self._rows) - min(self._rows) >= self._most

    def _widen(self, shift: int) -> None:
        while shift > self.shift:
            self.shift += 1
            rows, self._rows = self._rows, {}
            for key, row in sorted(rows.items(), key=lambda pair: pair[0]):
                kept = self._rows.setdefault(key >> 1, row)
                if kept is not row:
                    kept.merge(row)
            if self.shift == shift and self._is_too_long():
                shift += 1
