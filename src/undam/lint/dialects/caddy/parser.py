"""Parser for Caddyfiles: directives in nested blocks (see "Caddyfile Concepts")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.textfiles.edits import Edit, delete_line
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word

# This limit bounds the recursion over nested blocks. Real files have fewer than ten levels.
MAX_BLOCKS = 64

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h|d)")

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


@dataclass(slots=True, eq=False)
class CaddyDirective:
    """A line with the block it opens. The global options block has no ``words``."""

    source: Source
    start: int
    words: list[Word] = field(default_factory=list)
    block: list[CaddyDirective] | None = None

    @property
    def name(self) -> str:
        return self.words[0].text if self.words else ""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])

    @property
    def span(self) -> tuple[int, int]:
        """The span of the words on the first line."""
        end = self.words[-1].end if self.words else self.start + 1
        first = self.source.text[self.start : end].partition("\n")[0]
        return self.start, self.start + len(first.rstrip("\r\\ "))

    def inside(self, *names: str) -> Iterator[CaddyDirective]:
        """Return the directives in the block that have one of these names."""
        return (one for one in self.block or () if one.name in names)


def read_caddyfile(source: Source) -> list[CaddyDirective]:
    """Parse a Caddyfile into directives with nested blocks.

    Raises:
        ConfigSyntaxError: a brace, quote or heredoc is not closed, or the nesting is too deep.
    """
    top: list[CaddyDirective] = []
    blocks: list[tuple[int, list[CaddyDirective]]] = [(0, top)]
    line: CaddyDirective | None = None
    for word, is_quoted in _words(source):
        if word is None:
            line = None
        elif word.text == "}" and not is_quoted:
            if len(blocks) == 1:
                raise source.error("this } has no matching {", word.start)
            blocks.pop()
            line = None
        elif word.text == "{" and not is_quoted:
            if len(blocks) > MAX_BLOCKS:
                raise source.error(
                    f"blocks are nested more than {MAX_BLOCKS} levels deep", word.start
                )
            if line is None:
                line = CaddyDirective(source, word.start)
                blocks[-1][1].append(line)
            line.block = []
            blocks.append((word.start, line.block))
            line = None
        else:
            if line is None:
                line = CaddyDirective(source, word.start)
                blocks[-1][1].append(line)
            line.words.append(word)
    if len(blocks) > 1:
        raise source.error("this { is not closed", blocks[-1][0])
    return top


def _words(source: Source) -> Iterator[tuple[Word | None, bool]]:
    """Yield each word, and whether the word is quoted. ``None`` marks the end of a line."""
    text, at = source.text, 0
    while match := _TOKEN.match(text, at):
        kind, start, at = match.lastgroup or "", at, match.end()
        if kind == "end":
            yield None, False
        elif kind == "open":
            raise source.error(f"this {match[0]} is not closed", start)
        elif kind == "mark":
            closing = re.compile(rf"^[ \t]*{re.escape(match['mark'])}(?!\S)", re.MULTILINE)
            found = closing.search(text, at)
            if found is None:
                raise source.error("this heredoc is not closed", start)
            yield Word(text[at : found.start()], start, found.end()), True
            at = found.end()
        elif kind in {"double", "raw"}:
            yield Word(match[kind], start, at), True
        elif kind == "word" and match[0].strip():
            yield Word(match[0], start, at), False


def duration_s(text: str) -> float | None:
    """Parse a Go or Caddy duration; ``None`` if it is invalid or a placeholder."""
    parts = _DURATION_PART.findall(text[:64])
    if text.removeprefix("-") == "0":
        return 0.0
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def delete_directive(one: CaddyDirective) -> list[Edit]:
    """Return the edit that deletes a directive's line; empty if the line contains other text."""
    start, end = one.source.line_span(one.start)
    alone = one.source.text[start : one.start].strip() == "" and one.block is None
    rest = one.source.text[one.words[-1].end : end].strip()
    is_whole = alone and one.words[-1].end <= end and rest[:1] in {"", "#"}
    return [delete_line(one.source, one.start)] if is_whole else []
