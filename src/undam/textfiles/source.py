"""Source text with positions. Lines and columns are counted from 1, offsets from 0."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from undam.errors import ConfigSyntaxError


@dataclass(frozen=True, slots=True)
class UnreadPart:
    """A part of a file that could not be parsed and was not analyzed.

    Args:
        line: where the part begins; 0 if it is the whole file.
        what: the part and, if known, the reason.
    """

    path: str
    line: int
    what: str


@dataclass(frozen=True)
class Source:
    """The text of one file, or a view of it, in the form in which it is parsed.

    Args:
        path: the path as given by the user; "-" for standard input.
        text: the text to parse. It may be a view of the same length as the file, in which parts are
            replaced: the placeholders of a template, or the text around an embedded configuration.
        original: the text of the file, if ``text`` is a view.
        holes: spans of the view that stand for text that is not known.
        reread: creates the view again for a changed text of the file.
    """

    path: str
    text: str
    original: str | None = None
    holes: tuple[tuple[int, int], ...] = ()
    reread: Callable[[str], Source] | None = field(default=None, compare=False, repr=False)

    @property
    def written(self) -> str:
        """The text as it is in the file."""
        return self.text if self.original is None else self.original

    def with_written(self, text: str) -> Source:
        """Return a source for a new text of this file; if there is a view, it is created again."""
        return Source(self.path, text) if self.reread is None else self.reread(text)

    # The lines are cached, because suppression comments are looked up by line for each diagnostic.
    @cached_property
    def _lines(self) -> list[str]:
        return self.written.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(line) + 1 for line in self._lines[:-1]), initial=0))

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and column of a character. An offset past the end counts as the end."""
        offset = min(offset, len(self.text))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line without its line ending; empty if the line does not exist."""
        return self._lines[number - 1].rstrip("\r") if 0 < number <= len(self._lines) else ""

    def line_span(self, offset: int) -> tuple[int, int]:
        """Return the offset at which a line starts, and that at which its line ending ends."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return start, len(self.text) if end < 0 else end + 1

    def indent_at(self, offset: int) -> str:
        """Return the white space at the start of the line that includes ``offset``."""
        start, end = self.line_span(offset)
        line = self.text[start:end]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def error(self, message: str, offset: int) -> ConfigSyntaxError:
        """Create a syntax error at ``offset``; the caller must raise it."""
        line, column = self.position(offset)
        return ConfigSyntaxError(message, path=self.path, line=line, column=column)
