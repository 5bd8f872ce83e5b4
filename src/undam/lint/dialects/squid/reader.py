"""squid.conf as lines of words with places (squid.conf.documented, Squid 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener
from undam.textfiles.source import Source, UnreadPart

# More of them are taken for a loop; Squid itself stops at a depth of 16.
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16

_WORD = re.compile(r"\S+")
# A "\" at the end of a line joins the next one to it.
_JOIN = re.compile(r"\\\r?\n")


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A directive with its arguments."""

    source: Source
    words: tuple[Word, ...]

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments."""
        return tuple(word.text for word in self.words[1:])

    @property
    def span(self) -> tuple[int, int]:
        """From the directive to the last word that stands in the same line of the text."""
        line = self.source.position(self.words[0].start)[0]
        here = [word for word in self.words if self.source.position(word.start)[0] == line]
        return here[0].start, here[-1].end


@dataclass(slots=True)
class Config:
    """A file and those it includes, in the order in which Squid reads them."""

    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)
    _named: dict[str, list[Line]] = field(default_factory=dict)
    _acls: dict[str, list[Line]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Keep a line, if it has an argument."""
        if len(line.words) > 1:
            self._named.setdefault(line.name, []).append(line)
            if line.name == "acl":
                self._acls.setdefault(line.texts[0], []).append(line)

    def all(self, *names: str) -> list[Line]:
        """The lines of these directives."""
        return [line for name in names for line in self._named.get(name, [])]

    def acl(self, name: str) -> list[Line]:
        """The lines of an acl."""
        return self._acls.get(name, [])

    def last(self, name: str) -> Line | None:
        """The line that holds where the last one counts."""
        found = self.all(name)
        return found[-1] if found else None


def read_config(source: Source, open_include: IncludeOpener) -> Config:
    """Read a file and those it includes. Raises ConfigSyntaxError."""
    config = Config()
    _read(source, open_include, config, 0)
    return config


def _read(source: Source, open_include: IncludeOpener, config: Config, depth: int) -> None:
    conditions: list[Word] = []
    for line in _lines(source):
        if line.name in {"if", "else", "endif"}:
            _nest(source, line, conditions, config)
        elif line.name == "include":
            _include(line, open_include, config, depth)
        else:
            config.add(line)
    if conditions:
        raise source.error("an if without its endif", conditions[-1].start)


def _nest(source: Source, line: Line, conditions: list[Word], config: Config) -> None:
    if line.name == "if":
        conditions.append(line.words[0])
        what = "a conditional block: all its branches were read as if they held"
        config.unread.append(UnreadPart(source.path, source.position(line.words[0].start)[0], what))
    elif not conditions:
        raise source.error(f"an {line.name} without its if", line.words[0].start)
    elif line.name == "endif":
        conditions.pop()


def _include(line: Line, open_include: IncludeOpener, config: Config, depth: int) -> None:
    for word in line.words[1:]:
        full = depth >= _MAX_INCLUDE_DEPTH or len(config.included) >= MAX_INCLUDES
        files = [] if full else open_include(word.text.strip('"'))
        if not files:
            number = line.source.position(word.start)[0]
            config.unread.append(UnreadPart(line.source.path, number, f"include {word.text[:80]}"))
        for file in files:
            config.included.append(file)
            _read(file, open_include, config, depth + 1)


def _lines(source: Source) -> Iterator[Line]:
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
                raise source.error("a line begins with a directive", words[0].start)
            yield Line(source, words)


def _end(text: str, at: int) -> int:
    """Where the line ends: before its line feed, and before a joining "\\"."""
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
