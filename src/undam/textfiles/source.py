"""A configuration file as text with places in it. Lines and columns count from 1."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from undam.errors import ConfigSyntaxError


@dataclass(frozen=True)
class Source:
    """One file.

    Args:
        path: as the user knows it; "-" for standard input.
    """

    path: str
    text: str

    # Kept, because every finding asks for its line and the one above.
    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(line) + 1 for line in self._lines[:-1]), initial=0))

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character; past the end, those of the end."""
        offset = min(offset, len(self.text))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its end; empty past the last."""
        return self._lines[number - 1].rstrip("\r") if 0 < number <= len(self._lines) else ""

    def line_span(self, offset: int) -> tuple[int, int]:
        """Offsets of the first character of a line and of the one after its line end."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return start, len(self.text) if end < 0 else end + 1

    def indent_at(self, offset: int) -> str:
        """The white space with which the line of ``offset`` begins."""
        start, end = self.line_span(offset)
        line = self.text[start:end]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def error(self, message: str, offset: int) -> ConfigSyntaxError:
        """A syntax error at a place, to be raised."""
        line, column = self.place(offset)
        return ConfigSyntaxError(message, path=self.path, line=line, column=column)
