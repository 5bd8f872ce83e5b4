"""Division of a run into a limited number of sections, by time or by request number.

Sections are aligned to powers of two and as narrow as the limit allows. The result therefore
depends only on the values, not on their order or on the worker, and merging is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, Self, TypeVar


class Section(Protocol):
    """Content of a section."""

    def merge(self, other: Self) -> None:
        """Add the content of ``other``."""
        ...


T = TypeVar("T", bound=Section)


class Sections(Generic[T]):
    """Sections that cover all positions in use; there are at most ``most`` sections.

    Args:
        make: returns an empty section.
        shift: the initial width of a section is ``2 ** shift`` positions.
    """

    __slots__ = ("_make", "_most", "_rows", "shift")

    def __init__(self, make: Callable[[], T], *, most: int, shift: int = 0) -> None:
        self._make = make
        self._most = most
        self._rows: dict[int, T] = {}
        self.shift = shift

    def at(self, position: int) -> T:
        """Return the section at ``position``. It is valid until the next call."""
        row = self._rows.get(position >> self.shift)
        if row is None:
            row = self._rows[position >> self.shift] = self._make()
            if self._is_too_long():
                self._widen(self.shift + 1)
                return self.at(position)
        return row

    def merge(self, other: Sections[T]) -> None:
        """Add the sections of ``other``."""
        self._widen(max(self.shift, other.shift))
        for key, row in other._rows.items():
            self.at(key << other.shift).merge(row)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        """Yield each section in use with its first position, in ascending order."""
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
