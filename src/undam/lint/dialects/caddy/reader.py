"""A Caddyfile as directives in nested blocks, with places (caddyserver.com, Caddyfile concepts)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.textfiles.source import Source

# Deeper ones are taken for a loop.
MAX_BLOCKS = 64

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\ufeff]|\\\r?\n)++ | (?<!\S)\#[^\n]*)
    | (?P<end>\n)
    | "(?P<double>(?:[^"\\]|\\.)*+)"
    | `(?P<raw>[^`]*+)`
    | (?P<open>["`])
    | <<(?P<mark>[A-Za-z0-9_-]+)\r?\n
    | (?P<word>(?:[^\s\\]|\\(?!\r?\n))++|[^\S\n])""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes; the offsets are those with them."""

    text: str
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Directive:
    """One line, with the block it opens; ``words`` may be empty for the global options."""

    source: Source
    start: int
    words: list[Word] = field(default_factory=list)
    block: list[Directive] | None = None

    @property
    def name(self) -> str:
        return self.words[0].text if self.words else ""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])

    @property
    def span(self) -> tuple[int, int]:
        """Its words, as far as they stand on the first line."""
        end = self.words[-1].end if self.words else self.start + 1
        first = self.source.text[self.start : end].partition("\n")[0]
        return self.start, self.start + len(first.rstrip("\r\\ "))

    def inside(self, *names: str) -> Iterator[Directive]:
        """The lines of its block with one of these names."""
        return (one for one in self.block or () if one.name in names)


def read_caddyfile(source: Source) -> list[Directive]:
    """The lines of a file, with their blocks. Raises ConfigSyntaxError."""
    top: list[Directive] = []
    blocks: list[tuple[int, list[Directive]]] = [(0, top)]
    line: Directive | None = None
    for word, is_quoted in _words(source):
        if word is None:
            line = None
        elif word.text == "}" and not is_quoted:
            if len(blocks) == 1:
                raise source.error("a } that closes nothing", word.start)
            blocks.pop()
            line = None
        elif word.text == "{" and not is_quoted:
            if len(blocks) > MAX_BLOCKS:
                raise source.error(f"more than {MAX_BLOCKS} blocks deep", word.start)
            if line is None:
                line = Directive(source, word.start)
                blocks[-1][1].append(line)
            line.block = []
            blocks.append((word.start, line.block))
            line = None
        else:
            if line is None:
                line = Directive(source, word.start)
                blocks[-1][1].append(line)
            line.words.append(word)
    if len(blocks) > 1:
        raise source.error("a { that is not closed", blocks[-1][0])
    return top


def _words(source: Source) -> Iterator[tuple[Word | None, bool]]:
    """Words, and whether they stand in quotes; ``None`` is the end of a line."""
    text, at = source.text, 0
    while match := _TOKEN.match(text, at):
        kind, start, at = match.lastgroup or "", at, match.end()
        if kind == "end":
            yield None, False
        elif kind == "open":
            raise source.error(f"a {match[0]} that is not closed", start)
        elif kind == "mark":
            closing = re.compile(rf"^[ \t]*{re.escape(match['mark'])}(?!\S)", re.MULTILINE)
            found = closing.search(text, at)
            if found is None:
                raise source.error("a heredoc that is not closed", start)
            yield Word(text[at : found.start()], start, found.end()), True
            at = found.end()
        elif kind in {"double", "raw"}:
            yield Word(match[kind], start, at), True
        elif kind == "word" and match[0].strip():
            yield Word(match[0], start, at), False
