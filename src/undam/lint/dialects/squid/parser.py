"""Parser for squid.conf: each line is a list of words (squid.conf.documented, Squid 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener, PartlyOpened
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tokens import Word

# Real configurations stay far below these limits. Squid itself allows 16 nested includes.
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16

_WORD = re.compile(r"\S+")
# A "\" at the end of a line joins it with the next line.
_JOIN = re.compile(r"\\\r?\n")


@dataclass(frozen=True, slots=True, eq=False)
class SquidLine:
    """A directive in a squid.conf, with its arguments."""

    source: Source
    words: tuple[Word, ...]

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments of the directive."""
        return tuple(word.text for word in self.words[1:])

    @property
    def span(self) -> tuple[int, int]:
        """The span from the directive to the last word on the same line."""
        line = self.source.position(self.words[0].start)[0]
        here = [word for word in self.words if self.source.position(word.start)[0] == line]
        return here[0].start, here[-1].end


@dataclass(slots=True)
class SquidConfig:
    """A file with its included files, in the order in which Squid reads them."""

    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)
    _named: dict[str, list[SquidLine]] = field(default_factory=dict)
    _acls: dict[str, list[SquidLine]] = field(default_factory=dict)

    def add(self, line: SquidLine) -> None:
        """Add a line. Lines without arguments are ignored."""
        if len(line.words) > 1:
            self._named.setdefault(line.name, []).append(line)
            if line.name == "acl":
                self._acls.setdefault(line.texts[0], []).append(line)

    def all(self, *names: str) -> list[SquidLine]:
        """Return the lines with these directives."""
        return [line for name in names for line in self._named.get(name, [])]

    def acl(self, name: str) -> list[SquidLine]:
        """Return the lines that define an ACL."""
        return self._acls.get(name, [])

    def last(self, name: str) -> SquidLine | None:
        """Return the last line with a directive. For simple settings, the last line is used."""
        found = self.all(name)
        return found[-1] if found else None


def read_config(source: Source, open_include: IncludeOpener) -> SquidConfig:
    """Parse a file and all files that it includes.

    Raises:
        ConfigSyntaxError: a conditional block is not closed, or a line begins with a quote.
    """
    config = SquidConfig()
    _read(source, open_include, config, 0)
    return config


def _read(source: Source, open_include: IncludeOpener, config: SquidConfig, depth: int) -> None:
    conditions: list[Word] = []
    for line in _lines(source):
        if line.name in {"if", "else", "endif"}:
            _nest(source, line, conditions, config)
        elif line.name == "include":
            _include(line, open_include, config, depth)
        else:
            config.add(line)
    if conditions:
        raise source.error("this if has no endif", conditions[-1].start)


def _nest(source: Source, line: SquidLine, conditions: list[Word], config: SquidConfig) -> None:
    if line.name == "if":
        conditions.append(line.words[0])
        what = "a conditional block: all of its branches were read as if they applied"
        config.unread.append(UnreadPart(source.path, source.position(line.words[0].start)[0], what))
    elif not conditions:
        raise source.error(f"this {line.name} has no if", line.words[0].start)
    elif line.name == "endif":
        conditions.pop()


def _include(line: SquidLine, open_include: IncludeOpener, config: SquidConfig, depth: int) -> None:
    for word in line.words[1:]:
        full = depth >= _MAX_INCLUDE_DEPTH or len(config.included) >= MAX_INCLUDES
        files = [] if full else open_include(word.text.strip('"'))
        if not files or isinstance(files, PartlyOpened):
            number = line.source.position(word.start)[0]
            config.unread.append(UnreadPart(line.source.path, number, f"include {word.text[:80]}"))
        for file in files:
            config.included.append(file)
            _read(file, open_include, config, depth + 1)


def _lines(source: Source) -> Iterator[SquidLine]:
    text, at = source.text, 0
    while at < len(text):
        start = at
        end = _end(text, at)
        while (joined := _JOIN.match(text, end)) is not None:
            end = _end(text, joined.end())
        at = end + 1
        words = tuple(_words(text, start, end))
        if words:
            if words[0].text[0] in "\"'":
                raise source.error("a line must begin with a directive", words[0].start)
            yield SquidLine(source, words)


def _end(text: str, at: int) -> int:
    """Return the end of a line, excluding its line feed and a "\\" that joins lines."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    for back in (1, 2):
        if _JOIN.match(text, end - back) is not None and end - back >= at:
            return end - back
    return end


def _words(text: str, at: int, end: int) -> Iterator[Word]:
    for found in _WORD.finditer(text, at, end):
        if found[0].startswith("#"):
            return
        if found[0] != "\\":
            yield Word(found[0], found.start(), found.end())


def is_number(text: str) -> bool:
    """Return whether a text is an unsigned number of plausible length."""
    digits = text.replace(".", "", 1)
    return len(text) <= 12 and digits.isascii() and digits.isdecimal()
