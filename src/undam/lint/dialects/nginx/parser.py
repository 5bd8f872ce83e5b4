"""Parser for nginx.conf. It runs in linear time and without recursion."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undam.lint.dialects.nginx.lexer import CLOSE, LUA, OPEN, WORD, tokens
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tokens import Token

# nginx does not limit the nesting of blocks. This limit bounds recursive walks. Real files have
# fewer than ten levels.
MAX_DEPTH = 64

# White space after a directive, with the line ending if nothing else follows.
_SPACE_AND_END = re.compile(r"[ \t]*(\r?\n)?")
_COMMENT_AND_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(\r?\n)")


@dataclass(frozen=True, eq=False)
class NginxDirective:
    """A directive in an nginx.conf.

    Args:
        words: name and arguments.
        end: offset after its `;` or `}`.
        opened: offset after its `{`; equal to ``end`` if it has no block.
        block: the directives between its braces; ``None`` if it has no block.
        is_lua: the block is Lua, which is not parsed.
    """

    source: Source
    words: tuple[Token, ...]
    end: int
    opened: int
    block: tuple[NginxDirective, ...] | None = None
    is_lua: bool = False

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def args(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])

    @property
    def value(self) -> str:
        """The first argument; empty if there are no arguments."""
        return self.words[1].text if len(self.words) > 1 else ""

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def span(self) -> tuple[int, int]:
        """The span of the words on the first line."""
        written = self.source.text[self.start : self.words[-1].end]
        return self.start, self.start + len(written.partition("\n")[0].rstrip())

    def replace_value(self, text: str) -> Edit:
        """Return the edit that replaces all arguments with ``text``."""
        return Edit(self.words[1].start, self.words[-1].end, text)

    def replace(self, text: str) -> Edit:
        """Return the edit that replaces the whole directive with ``text``."""
        return Edit(self.start, self.end, text)

    def remove(self) -> Edit:
        """Return the edit that removes the directive, and its line if nothing else is on it."""
        text = self.source.text
        before = self._space_before()
        if not self._begins_line():
            return Edit(before, self.end, "")
        rest = _SPACE_AND_END.match(text, self.end)
        assert rest is not None  # the pattern also matches empty text
        is_alone = bool(rest[1]) or rest.end() == len(text)
        return Edit(before if is_alone else self.start, rest.end(), "")

    def insert_after(self, text: str) -> Edit:
        """Return the edit that inserts a directive after this one.

        The new directive gets a line of its own if this one begins a line.
        """
        if not self._begins_line():
            return Edit(self.end, self.end, f" {text}")
        return self._insert(self.end, self.source.indent_at(self.start), text)

    def insert_inside(self, text: str) -> Edit:
        """Return the edit that inserts a directive at the start of this block."""
        indent = self.source.indent_at(self.start)
        inside = [self.source.indent_at(one.start) for one in self.block or ()]
        deeper = next((one for one in inside if len(one) > len(indent)), indent + "    ")
        return self._insert(self.opened, deeper, text)

    def _insert(self, at: int, indent: str, text: str) -> Edit:
        rest = _COMMENT_AND_END.match(self.source.text, at)
        if rest is None:
            return Edit(at, at, f" {text}")
        return Edit(rest.end(), rest.end(), indent + text + rest[1])

    def _space_before(self) -> int:
        """Return the offset where the white space before the directive starts on its line."""
        text, at = self.source.text, self.start
        while at > 0 and text[at - 1] in " \t":
            at -= 1
        return at

    def _begins_line(self) -> bool:
        at = self._space_before()
        return at == 0 or self.source.text[at - 1] == "\n"


@dataclass(slots=True)
class _OpenBlock:
    """A block that is still open. The outermost block is the file and has no words."""

    words: tuple[Token, ...]
    opened: int
    inside: list[NginxDirective]


def read_tree(source: Source) -> tuple[NginxDirective, ...]:
    """Parse the directives in a file.

    Raises:
        ConfigSyntaxError: nginx would reject the text, too, or blocks are nested more than
            MAX_DEPTH levels deep.
    """
    blocks = [_OpenBlock((), 0, [])]
    words: list[Token] = []
    for token in tokens(source):
        if token.kind == WORD:
            words.append(token)
        elif token.kind == CLOSE:
            if words:
                raise source.error(f"there is no ; between {words[-1].text!r} and }}", token.start)
            if len(blocks) == 1:
                raise source.error("this } has no matching {", token.start)
            closed = blocks.pop()
            blocks[-1].inside.append(
                NginxDirective(source, closed.words, token.end, closed.opened, tuple(closed.inside))
            )
        elif not words:
            raise source.error(f"there is no directive before {token.text[:1]!r}", token.start)
        elif token.kind == OPEN:
            if len(blocks) > MAX_DEPTH:
                raise source.error(
                    f"blocks are nested more than {MAX_DEPTH} levels deep", token.start
                )
            blocks.append(_OpenBlock(tuple(words), token.end, []))
            words = []
        else:
            is_lua = token.kind == LUA
            block = () if is_lua else None
            blocks[-1].inside.append(
                NginxDirective(source, tuple(words), token.end, token.end, block, is_lua=is_lua)
            )
            words = []
    if words:
        raise source.error(f"neither ; nor {{ follows {words[-1].text!r}", words[-1].start)
    if len(blocks) > 1:
        raise source.error("this block is not closed", blocks[-1].words[0].start)
    return tuple(blocks[0].inside)
