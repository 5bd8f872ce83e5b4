"""Directives and their blocks, each with its place. Reading needs no recursion and is linear."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undam.lint.dialects.nginx.lexer import Kind, Token, tokens
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

# nginx itself has no limit; real files stay below ten, and what walks the tree calls itself.
MAX_DEPTH = 64

# What may follow a directive that ends its line. Matched in place, as a line can be a whole file.
_SPACE_AND_END = re.compile(r"[ \t]*(\r?\n)?")
_COMMENT_AND_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(\r?\n)")


@dataclass(frozen=True, eq=False)
class Directive:
    """A directive.

    Args:
        words: its name and arguments.
        end: behind its `;` or `}`.
        opened: behind its `{`; as ``end`` where it has none.
        block: what stands between its braces; ``None`` where it has none.
        is_lua: the block is Lua, which is not read.
    """

    source: Source
    words: tuple[Token, ...]
    end: int
    opened: int
    block: tuple[Directive, ...] | None = None
    is_lua: bool = False

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def args(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])

    @property
    def value(self) -> str:
        """The first argument, or nothing."""
        return self.words[1].text if len(self.words) > 1 else ""

    @property
    def start(self) -> int:
        return self.words[0].start

    def replace_value(self, text: str) -> Edit:
        """Put ``text`` in the place of all arguments."""
        return Edit(self.words[1].start, self.words[-1].end, text)

    def replace(self, text: str) -> Edit:
        """Put another directive in the place of this one."""
        return Edit(self.start, self.end, text)

    def remove(self) -> Edit:
        """Take it away, with its line where nothing else stands on it."""
        text = self.source.text
        before = self._space_before()
        if not self._begins_line():
            return Edit(before, self.end, "")
        rest = _SPACE_AND_END.match(text, self.end)
        assert rest is not None  # it matches nothing, too
        is_alone = bool(rest[1]) or rest.end() == len(text)
        return Edit(before if is_alone else self.start, rest.end(), "")

    def insert_after(self, text: str) -> Edit:
        """Another directive behind this one: on a line of its own where this one has one."""
        if not self._begins_line():
            return Edit(self.end, self.end, f" {text}")
        return self._insert(self.end, self.source.indent_at(self.start), text)

    def insert_inside(self, text: str) -> Edit:
        """Another directive as the first of this block."""
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
        """Where the white space before it begins, on its line."""
        text, at = self.source.text, self.start
        while at > 0 and text[at - 1] in " \t":
            at -= 1
        return at

    def _begins_line(self) -> bool:
        at = self._space_before()
        return at == 0 or self.source.text[at - 1] == "\n"


@dataclass(slots=True)
class _Open:
    """A block that is being read; the outermost has no words."""

    words: tuple[Token, ...]
    opened: int
    inside: list[Directive]


def read_tree(source: Source) -> tuple[Directive, ...]:
    """The directives of a file.

    Raises:
        ConfigSyntaxError: what nginx would not read either, or more than 64 blocks deep.
    """
    blocks = [_Open((), 0, [])]
    words: list[Token] = []
    for token in tokens(source):
        if token.kind is Kind.WORD:
            words.append(token)
        elif token.kind is Kind.CLOSE:
            if words:
                raise source.error(f"no ; between {words[-1].text!r} and }}", token.start)
            if len(blocks) == 1:
                raise source.error("a } that closes nothing", token.start)
            closed = blocks.pop()
            blocks[-1].inside.append(
                Directive(source, closed.words, token.end, closed.opened, tuple(closed.inside))
            )
        elif not words:
            raise source.error(f"no directive before {token.text[:1]!r}", token.start)
        elif token.kind is Kind.OPEN:
            if len(blocks) > MAX_DEPTH:
                raise source.error(f"blocks are more than {MAX_DEPTH} deep", token.start)
            blocks.append(_Open(tuple(words), token.end, []))
            words = []
        else:
            is_lua = token.kind is Kind.LUA
            block = () if is_lua else None
            blocks[-1].inside.append(
                Directive(source, tuple(words), token.end, token.end, block, is_lua=is_lua)
            )
            words = []
    if words:
        raise source.error(f"neither ; nor {{ follows {words[-1].text!r}", words[-1].start)
    if len(blocks) > 1:
        raise source.error("a block that is not closed", blocks[-1].words[0].start)
    return tuple(blocks[0].inside)
