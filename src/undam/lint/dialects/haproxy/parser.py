"""Parser for haproxy.cfg: sections of directives (configuration manual, sections 2.1-2.5 and 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.errors import ConfigSyntaxError
from undam.lint.dialect import IncludeOpener
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tokens import Word

PROXIES = frozenset({"frontend", "backend", "listen"})
_SECTIONS = PROXIES | {
    *("global", "defaults", "peers", "resolvers", "mailers", "userlist", "cache", "program"),
    *("http-errors", "ring", "log-forward", "log-profile", "fcgi-app", "crt-store", "traces"),
    *("acme",),
}
_MAIN_FILE = "haproxy.cfg"
_PLAIN = re.compile(r"[^\s\\\"'#]+")
_TIME = re.compile(r"(\d{1,12})(us|ms|s|m|h|d)?", re.ASCII)
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class HaproxyDirective:
    """One line of a haproxy.cfg: a keyword with its arguments."""

    words: tuple[Word, ...]

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    def begins(self, *words: str) -> bool:
        """Return whether the line begins with the given words."""
        return self.texts[: len(words)] == words


@dataclass(slots=True, eq=False)
class HaproxySection:
    """A section of a haproxy.cfg with its lines.

    Args:
        base: the defaults section that it inherits from.
    """

    kind: str
    name: str
    head: HaproxyDirective
    base: HaproxySection | None = None
    lines: list[HaproxyDirective] = field(default_factory=list)
    _found: dict[tuple[str, ...], list[HaproxyDirective]] = field(default_factory=dict)

    def chain(self) -> Iterator[HaproxySection]:
        """Yield the section, then the defaults sections that it inherits from, nearest first."""
        at: HaproxySection | None = self
        while at is not None:
            yield at
            at = at.base

    def own(self, *words: str) -> list[HaproxyDirective]:
        """Return the lines in this section that begin with the given words.

        The result is cached, because many sections look up the same words in their defaults.
        """
        if words not in self._found:
            self._found[words] = [line for line in self.lines if line.begins(*words)]
        return self._found[words]

    def inherited(self, *words: str) -> list[HaproxyDirective]:
        """Return lines that begin with these words, in this section and then in its defaults."""
        return [line for one in self.chain() for line in one.own(*words)]

    def nearest(self, *words: str) -> HaproxyDirective | None:
        """Return the last line with these words, from the nearest section with such a line."""
        return next((found[-1] for one in self.chain() if (found := one.own(*words))), None)


@dataclass(frozen=True, slots=True)
class HaproxyConfig:
    """The sections of a haproxy.cfg."""

    sections: tuple[HaproxySection, ...]
    unread: tuple[UnreadPart, ...]

    def proxies(self, *kinds: str) -> list[HaproxySection]:
        """Return the sections of the given kinds."""
        return [one for one in self.sections if one.kind in kinds]


def read_config(source: Source) -> HaproxyConfig:
    """Parse a file.

    Raises:
        ConfigSyntaxError: a quote is not closed, or a section is missing or invalid.
    """
    sections: list[HaproxySection] = []
    unread: list[UnreadPart] = []
    defaults: list[HaproxySection] = []
    for line in _directives(source):
        keyword = line.words[0].text
        if keyword.startswith("."):
            if keyword == ".if":
                what = "a conditional block: all of its branches were read as if they applied"
                unread.append(UnreadPart(source.path, source.position(line.start)[0], what))
        elif keyword in _SECTIONS:
            section = _section(source, line, defaults)
            sections.append(section)
            if section.kind == "defaults":
                defaults.append(section)
        elif not sections:
            raise source.error(f"{keyword!r} is outside any section", line.start)
        else:
            sections[-1].lines.append(line)
    return HaproxyConfig(tuple(sections), tuple(unread))


def with_outer_defaults(
    config: HaproxyConfig, source: Source, open_include: IncludeOpener
) -> HaproxyConfig:
    """Return the configuration with the defaults of an earlier file, if it has none of its own.

    HAProxy reads the files of a folder in alphabetical order, and a `defaults` section also holds
    for the files after its own. Such a line is located at the section that inherits it.
    """
    if any(one.kind == "defaults" for one in config.sections) or not config.proxies(*PROXIES):
        return config
    outer = _outer_defaults(source, open_include)
    if outer is not None:
        for one in config.proxies(*PROXIES):
            head = one.head.words[0]
            one.base = HaproxySection("defaults", outer.name, one.head)
            one.base.lines += [
                HaproxyDirective(tuple(Word(text, head.start, head.end) for text in line.texts))
                for line in outer.lines
                if line.begins("mode") or line.begins("timeout") or line.begins("option")
            ]
        return config
    unset = next((one for one in config.proxies(*PROXIES) if not one.own("mode")), None)
    if unset is None:
        return config
    line, _ = source.position(unset.head.start)
    what = f"the defaults of {unset.kind} {unset.name}: without them, its mode is tcp"
    return HaproxyConfig(config.sections, (*config.unread, UnreadPart(source.path, line, what)))


def _outer_defaults(source: Source, open_include: IncludeOpener) -> HaproxySection | None:
    files = {one.path: one for name in (_MAIN_FILE, "*.cfg") for one in open_include(name)}
    files.pop(source.path, None)
    before = [one for one in files.values() if one.path < source.path]
    first = [one for one in before if not one.path.endswith(_MAIN_FILE)]
    rest = [one for one in files.values() if one not in first]
    for one in (*reversed(first), *rest):
        try:
            sections = read_config(one).sections
        except ConfigSyntaxError:
            continue
        found = [section for section in sections if section.kind == "defaults"]
        if found:
            return found[-1]
    return None


def _section(
    source: Source, head: HaproxyDirective, defaults: list[HaproxySection]
) -> HaproxySection:
    kind, *names = head.texts
    name = names[0] if names and names[0] != "from" else ""
    if kind in PROXIES and not name:
        raise source.error(f"a {kind} needs a name", head.start)
    if kind not in PROXIES and kind != "defaults":
        return HaproxySection(kind, name, head)
    if "from" not in names:
        base = defaults[-1] if defaults and kind in PROXIES else None
        return HaproxySection(kind, name, head, base)
    wanted = names[names.index("from") + 1 :][:1]
    for one in reversed(defaults):
        if [one.name] == wanted:
            return HaproxySection(kind, name, head, one)
    raise source.error("'from' does not name a defaults section above", head.start)


def _directives(source: Source) -> Iterator[HaproxyDirective]:
    at = 0
    while at < len(source.text):
        _, end = source.line_span(at)
        words = tuple(_words(source, at, end))
        if words:
            yield HaproxyDirective(words)
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
    """Return the offset of the quote that closes the quote at offset ``at``."""
    quote, text, here = source.text[at], source.text, at + 1
    while here < end and text[here] != quote:
        here += 2 if text[here] == "\\" and quote == '"' else 1
    if here >= end:
        raise source.error("this quote is not closed on its line", at)
    return here


def seconds_of(text: str) -> float | None:
    """Parse a time value (configuration manual, section 2.5). The default unit is milliseconds.

    Returns:
        ``None`` if it is invalid, or 0, which means no limit.
    """
    match = _TIME.fullmatch(text)
    if not match:
        return None
    return int(match[1]) * _UNITS_S[match[2] or "ms"] or None


def seconds_in(line: HaproxyDirective | None, index: int) -> float | None:
    """Parse one word of a line as a time value; ``None`` if the word is invalid or missing."""
    if line is None or len(line.words) <= index:
        return None
    return seconds_of(line.texts[index])


def insert_line(
    source: Source, section: HaproxySection, text: str, *, after: tuple[str, ...]
) -> Edit:
    """Return the edit that inserts a line into a section.

    Args:
        after: the line is inserted after the last line that begins with the first of these words,
            or else the next of them, or else after the head of the section.
    """
    indent = source.indent_at(section.lines[0].start) if section.lines else "    "
    for word in after:
        for line in reversed(section.lines):
            if line.begins(word):
                return insert_line_after(source, line.start, text, indent)
    return insert_line_after(source, section.head.start, text, indent)
