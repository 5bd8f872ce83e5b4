"""haproxy.cfg as sections of directives with places (configuration manual, 2.1 to 2.4 and 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.textfiles.source import Source, UnreadPart

PROXIES = frozenset({"frontend", "backend", "listen"})
_SECTIONS = PROXIES | {
    *("global", "defaults", "peers", "resolvers", "mailers", "userlist", "cache", "program"),
    *("http-errors", "ring", "log-forward", "log-profile", "fcgi-app", "crt-store", "traces"),
    *("acme",),
}
_PLAIN = re.compile(r"[^\s\\\"'#]+")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line, without its quotes and escapes."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Directive:
    """One line: a keyword and its arguments."""

    words: tuple[Word, ...]

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    def begins(self, *words: str) -> bool:
        """Whether the line begins with these words."""
        return self.texts[: len(words)] == words


@dataclass(slots=True, eq=False)
class Section:
    """A section with its lines.

    Args:
        base: the defaults section that it starts from.
    """

    kind: str
    name: str
    head: Directive
    base: Section | None = None
    lines: list[Directive] = field(default_factory=list)
    _found: dict[tuple[str, ...], list[Directive]] = field(default_factory=dict)

    def chain(self) -> Iterator[Section]:
        """The section and the defaults that it inherits from, nearest first."""
        at: Section | None = self
        while at is not None:
            yield at
            at = at.base

    def own(self, *words: str) -> list[Directive]:
        """Its lines that begin so. Looked for once: many sections ask their defaults the same."""
        if words not in self._found:
            self._found[words] = [line for line in self.lines if line.begins(*words)]
        return self._found[words]

    def inherited(self, *words: str) -> list[Directive]:
        """Lines that begin so, here and in the defaults, nearest section first."""
        return [line for one in self.chain() for line in one.own(*words)]

    def nearest(self, *words: str) -> Directive | None:
        """The line that holds of those that begin so: the last one of the nearest section."""
        return next((found[-1] for one in self.chain() if (found := one.own(*words))), None)


@dataclass(frozen=True, slots=True)
class Config:
    """A file that was read."""

    sections: tuple[Section, ...]
    unread: tuple[UnreadPart, ...]

    def proxies(self, *kinds: str) -> list[Section]:
        """The sections of these kinds."""
        return [one for one in self.sections if one.kind in kinds]


def read_config(source: Source) -> Config:
    """Read a file. Raises ConfigSyntaxError."""
    sections: list[Section] = []
    unread: list[UnreadPart] = []
    defaults: list[Section] = []
    for line in _directives(source):
        keyword = line.words[0].text
        if keyword.startswith("."):
            if keyword == ".if":
                what = "a conditional block: all its branches were read as if they held"
                unread.append(UnreadPart(source.path, source.position(line.start)[0], what))
        elif keyword in _SECTIONS:
            section = _section(source, line, defaults)
            sections.append(section)
            if section.kind == "defaults":
                defaults.append(section)
        elif not sections:
            raise source.error(f"{keyword!r} stands outside of any section", line.start)
        else:
            sections[-1].lines.append(line)
    return Config(tuple(sections), tuple(unread))


def _section(source: Source, head: Directive, defaults: list[Section]) -> Section:
    kind, *names = head.texts
    name = names[0] if names and names[0] != "from" else ""
    if kind in PROXIES and not name:
        raise source.error(f"a {kind} needs a name", head.start)
    if kind not in PROXIES and kind != "defaults":
        return Section(kind, name, head)
    if "from" not in names:
        base = defaults[-1] if defaults and kind in PROXIES else None
        return Section(kind, name, head, base)
    wanted = names[names.index("from") + 1 :][:1]
    for one in reversed(defaults):
        if [one.name] == wanted:
            return Section(kind, name, head, one)
    raise source.error("'from' names no defaults section above", head.start)


def _directives(source: Source) -> Iterator[Directive]:
    at = 0
    while at < len(source.text):
        _, end = source.line_span(at)
        words = tuple(_words(source, at, end))
        if words:
            yield Directive(words)
        at = end


def _words(source: Source, at: int, end: int) -> Iterator[Word]:
    text = source.text
    while at < end:
        if text[at] == "#":
            return
        if text[at].isspace():
            at += 1
            continue
        word = _word(source, at, end)
        yield word
        at = word.end


def _word(source: Source, at: int, end: int) -> Word:
    text, start, parts = source.text, at, []
    while at < end and text[at] != "#" and not text[at].isspace():
        if text[at] == "\\":
            parts.append(text[at + 1 : min(at + 2, end)])
            at = min(at + 2, end)
        elif text[at] in "\"'":
            close = _closing(source, at, end)
            parts.append(text[at + 1 : close])
            at = close + 1
        else:
            found = _PLAIN.match(text, at, end)
            assert found is not None
            parts.append(found[0])
            at = found.end()
    return Word("".join(parts), start, at)


def _closing(source: Source, at: int, end: int) -> int:
    """Where the quote at ``at`` ends."""
    quote, text, here = source.text[at], source.text, at + 1
    while here < end and text[here] != quote:
        here += 2 if text[here] == "\\" and quote == '"' else 1
    if here >= end:
        raise source.error("a quote is not closed in its line", at)
    return here
