"""Parts of a text file that could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a file that was not understood, so it was not analyzed."""

    path: str
    line: int
    what: str
