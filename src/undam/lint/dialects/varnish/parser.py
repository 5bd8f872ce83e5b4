"""Parser for VCL: statements with their conditions, and backends (vcl(7), vcl-backend(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener, PartlyOpened
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tokens import Token, TokenCursor

# These limits bound nesting and stop include loops. Real configurations stay far below them.
MAX_BLOCKS = 64
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16
# If an `elsif` chain is longer than this, only its last conditions are kept.
_MAX_DENIED = 16

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/|C\{.*?\}C)
    | (?P<string>\"{3}.*?\"{3}|\{\".*?\"\}|"[^"\n]*")
    | (?P<number>\d+(?:\.\d+)?(?:ms|[smhdwy])?(?![\w.]))
    | (?P<name>\.?[A-Za-z_][\w.-]*)
    | (?P<op>[=!<>+*/-]=|&&|\|\||!~|[{}(),;=!~<>+*/%.-]|\d+)""",
    re.VERBOSE | re.DOTALL,
)
# Opening delimiters that require a closing one. No delimiter is a sequence of two tokens.
_OPENERS = ('"""', '{"', '"', "/*", "C{")
_IF = frozenset({"if", "elseif", "elsif", "elif"})


@dataclass(frozen=True, slots=True)
class VclCondition:
    """The tokens in an `if` condition; ``holds`` is false in the `else` branch."""

    tokens: tuple[Token, ...]
    holds: bool


@dataclass(frozen=True, slots=True, eq=False)
class VclStatement:
    """A statement in a VCL subroutine, up to its ";"."""

    source: Source
    sub: str
    conditions: tuple[VclCondition, ...]
    tokens: tuple[Token, ...]
    stop: int

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(token.text for token in self.tokens)

    @property
    def assignment(self) -> tuple[str, Token | None]:
        """The variable that a `set` statement changes, in lower case, and its new value.

        The variable is empty and the value ``None`` unless the value is a single token.
        """
        texts = self.texts
        if len(texts) != 4 or texts[0] != "set" or texts[2] != "=":
            return "", None
        return texts[1].lower(), self.tokens[3]


@dataclass(frozen=True, slots=True, eq=False)
class VclBackend:
    """A backend with its attributes. The attribute names include the leading dot."""

    source: Source
    name: str
    attributes: dict[str, Token]


@dataclass(slots=True)
class VclFile:
    """A VCL file with its included files."""

    statements: list[VclStatement] = field(default_factory=list)
    backends: list[VclBackend] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)


@dataclass(slots=True)
class _VclBlock:
    """A block that is still open.

    Args:
        conditions_of_if: the conditions that an `else` after the block would negate.
    """

    opened: Token
    conditions: tuple[VclCondition, ...]
    conditions_of_if: tuple[VclCondition, ...] = ()


def read_vcl(source: Source, open_include: IncludeOpener) -> VclFile:
    """Parse a file and all files that it includes.

    Raises:
        ConfigSyntaxError: one of the files cannot be parsed.
    """
    vcl = VclFile()
    _VclReader(source, open_include, vcl, 0).read()
    return vcl


class _VclReader:
    """Reader that parses one file into a ``VclFile``."""

    def __init__(
        self, source: Source, open_include: IncludeOpener, vcl: VclFile, depth: int
    ) -> None:
        self._source = source
        self._open_include = open_include
        self._vcl = vcl
        self._depth = depth
        self._cursor = TokenCursor(source, _tokens(source))

    def read(self) -> None:
        """Add all contents of the file to the `VclFile`."""
        while not self._cursor.done:
            token = self._cursor.next
            if token.text == "backend":
                self._backend()
            elif token.text == "sub":
                self._cursor.at += 1
                name = self._cursor.take_kind("a name", "name").text
                self._body(name, self._cursor.take("{", "{"))
            elif token.text == "include":
                self._include(self._statement_tokens())
            elif token.text in {"probe", "acl"}:
                self._cursor.at += 2
                self._skip_block()
            elif token.kind == "name":
                self._statement_tokens()  # for example, `vcl 4.1;`
            else:
                raise self._source.error(f"unexpected {token.text[:20]!r}", token.start)

    def _statement_tokens(self) -> tuple[Token, ...]:
        """Return the tokens before the next ";", and advance past it."""
        first = self._cursor.at
        while self._cursor.text() != ";":
            if self._cursor.done or self._cursor.text() in {"{", "}"}:
                begun = self._cursor.tokens[min(first, len(self._cursor.tokens) - 1)]
                raise self._source.error("this statement has no ;", begun.start)
            self._cursor.at += 1
        self._cursor.at += 1
        return tuple(self._cursor.tokens[first : self._cursor.at - 1])

    def _skip_block(self) -> None:
        opened, depth = self._cursor.take("{", "{"), 1
        while depth:
            if self._cursor.done:
                raise self._source.error("this { is not closed", opened.start)
            depth += {"{": 1, "}": -1}.get(self._cursor.text(), 0)
            self._cursor.at += 1

    def _backend(self) -> None:
        self._cursor.at += 1
        name = self._cursor.take_kind("a name", "name").text
        attributes: dict[str, Token] = {}
        self._vcl.backends.append(VclBackend(self._source, name, attributes))
        if self._cursor.text() == "none":
            self._statement_tokens()
            return
        self._cursor.take("{", "{")
        while self._cursor.text() != "}":
            attribute = self._cursor.take_kind("an attribute", "name").text
            self._cursor.take("=", "=")
            if self._cursor.text() == "{":
                self._skip_block()
                self._cursor.at += self._cursor.text() == ";"
            else:
                value = self._statement_tokens()
                if len(value) == 1:
                    attributes[attribute] = value[0]
        self._cursor.at += 1

    def _body(self, sub: str, opened: Token) -> None:
        """Parse the statements in a subroutine up to its "}"."""
        blocks = [_VclBlock(opened, ())]
        conditions_of_if: tuple[VclCondition, ...] = ()  # from the previous `if`
        while blocks:
            if self._cursor.done:
                raise self._source.error("this { is not closed", blocks[-1].opened.start)
            if len(blocks) > MAX_BLOCKS:
                raise self._source.error(
                    f"blocks are nested more than {MAX_BLOCKS} levels deep", opened.start
                )
            around = blocks[-1].conditions
            token = self._cursor.next
            if self._cursor.text() == "}":
                conditions_of_if = blocks.pop().conditions_of_if
                self._cursor.at += 1
                continue
            if self._cursor.text() == "{":
                self._cursor.at += 1
                blocks.append(_VclBlock(token, around))
            elif token.kind == "name" and token.text in _IF | {"else"}:
                denied = conditions_of_if if token.text != "if" else ()
                blocks.append(self._if(around, denied))
            elif token.text == "include" and token.kind == "name":
                self._include(self._statement_tokens())
            else:
                tokens = self._statement_tokens()
                if tokens:
                    stop = self._cursor.tokens[self._cursor.at - 1].end
                    self._vcl.statements.append(
                        VclStatement(self._source, sub, around, tokens, stop)
                    )
            conditions_of_if = ()

    def _if(self, around: tuple[VclCondition, ...], denied: tuple[VclCondition, ...]) -> _VclBlock:
        """Parse a condition, from ``if`` or ``else`` up to and including the "{"."""
        word = self._cursor.take_kind("if", "name").text
        if word == "else" and self._cursor.text() in _IF:
            self._cursor.at += 1
        elif word == "else":
            return _VclBlock(self._cursor.take("{", "{"), (*around, *denied))
        condition = self._bracketed()
        conditions_of_if = (*denied[-_MAX_DENIED:], VclCondition(condition, False))
        holds = VclCondition(condition, True)
        return _VclBlock(self._cursor.take("{", "{"), (*around, *denied, holds), conditions_of_if)

    def _bracketed(self) -> tuple[Token, ...]:
        opened, depth, first = self._cursor.take("(", "("), 1, self._cursor.at
        while depth:
            if self._cursor.done or self._cursor.text() in {"{", "}", ";"}:
                raise self._source.error("this ( is not closed", opened.start)
            depth += {"(": 1, ")": -1}.get(self._cursor.text(), 0)
            self._cursor.at += 1
        return tuple(self._cursor.tokens[first : self._cursor.at - 1])

    def _include(self, tokens: tuple[Token, ...]) -> None:
        vcl, names = self._vcl, [token for token in tokens if token.kind == "string"]
        line = self._source.position(tokens[0].start)[0]
        what = f"include {' '.join(name.text for name in names)[:80]}"
        full = self._depth >= _MAX_INCLUDE_DEPTH or len(vcl.included) >= MAX_INCLUDES
        files = self._open_include(names[0].text) if names and not full else []
        if not files or isinstance(files, PartlyOpened):
            vcl.unread.append(UnreadPart(self._source.path, line, what))
        for file in files:
            vcl.included.append(file)
            _VclReader(file, self._open_include, vcl, self._depth + 1).read()


def _tokens(source: Source) -> Iterator[Token]:
    text, at = source.text, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        opened = next((mark for mark in _OPENERS if text.startswith(mark, at)), "")
        if found is None or not found[0].startswith(opened):
            what = "is not closed" if opened else "is not a token of VCL"
            raise source.error(f"{text[at : at + max(1, len(opened))]!r} {what}", at)
        kind = found.lastgroup
        assert kind is not None  # every alternative is a named group
        if kind == "string":
            inner = found[0][len(opened) : -len(opened)]
            yield Token(kind, inner, at, found.end())
        elif kind != "space":
            yield Token(kind, found[0], at, found.end())
        at = found.end()
