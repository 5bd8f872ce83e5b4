"""VCL as statements under their conditions, and backends, with places (vcl(7), vcl-backend(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener
from undam.textfiles.source import Source, UnreadPart

# Deeper ones, and more files, are taken for a loop.
MAX_BLOCKS = 64
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16
# Of a longer chain of elsif only the last ones are remembered.
_MAX_DENIED = 16

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/|C\{.*?\}C)
    | (?P<string>\"{3}.*?\"{3}|\{\".*?\"\}|"[^"\n]*")
    | (?P<number>\d+(?:\.\d+)?(?:ms|[smhdwy])?(?![\w.]))
    | (?P<name>\.?[A-Za-z_][\w.-]*)
    | (?P<op>[=!<>+*/-]=|&&|\|\||!~|[{}(),;=!~<>+*/%.-]|\d+)""",
    re.VERBOSE | re.DOTALL,
)
# Each opens what must be closed, and is never two tokens.
_OPENERS = ('"""', '{"', '"', "/*", "C{")
_IF = frozenset({"if", "elseif", "elsif", "elif"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``kind`` is "string" (text without its quotes), "number", "name" or "op"."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Condition:
    """The tokens between the brackets of an `if`; ``holds`` is false behind its `else`."""

    tokens: tuple[Token, ...]
    holds: bool


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What stands up to a ";" inside of a sub."""

    source: Source
    sub: str
    conditions: tuple[Condition, ...]
    tokens: tuple[Token, ...]
    stop: int

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(token.text for token in self.tokens)


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """A backend with the values of its attributes, by their names with the dot."""

    source: Source
    name: str
    attributes: dict[str, Token]


@dataclass(slots=True)
class Vcl:
    """A file and those it includes."""

    statements: list[Statement] = field(default_factory=list)
    backends: list[Backend] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)


@dataclass(slots=True)
class _Block:
    """An open "{": its conditions, and those that an `else` behind it would deny."""

    opened: Token
    conditions: tuple[Condition, ...]
    asked: tuple[Condition, ...] = ()


def read_vcl(source: Source, open_include: IncludeOpener) -> Vcl:
    """Read a file and those it includes. Raises ConfigSyntaxError."""
    vcl = Vcl()
    _Reader(source, open_include, vcl, 0).read()
    return vcl


class _Reader:
    """Reads one file into a ``Vcl``."""

    def __init__(self, source: Source, open_include: IncludeOpener, vcl: Vcl, depth: int) -> None:
        self._source = source
        self._open_include = open_include
        self._vcl = vcl
        self._depth = depth
        self._tokens = list(_tokens(source))
        self._at = 0

    def read(self) -> None:
        """Read all of it."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.text == "backend":
                self._backend()
            elif token.text == "sub":
                self._at += 1
                name = self._take("a name").text
                self._body(name, self._take("{", "{"))
            elif token.text == "include":
                self._include(self._statement_tokens())
            elif token.text in {"probe", "acl"}:
                self._at += 2
                self._skip_block()
            elif token.kind == "name":
                self._statement_tokens()  # vcl 4.1; import std;
            else:
                raise self._source.error(f"unexpected {token.text[:20]!r}", token.start)

    def _text(self, ahead: int = 0) -> str:
        at = self._at + ahead
        token = self._tokens[at] if at < len(self._tokens) else None
        return token.text if token is not None and token.kind != "string" else ""

    def _take(self, what: str, text: str | None = None) -> Token:
        """The next token, which must be ``text``, or a name."""
        if self._at >= len(self._tokens):
            raise self._source.error(f"the text ends before {what}", len(self._source.text))
        token = self._tokens[self._at]
        if (token.kind != "name") if text is None else (self._text() != text):
            raise self._source.error(f"{what} expected before {token.text[:20]!r}", token.start)
        self._at += 1
        return token

    def _statement_tokens(self) -> tuple[Token, ...]:
        """Up to the ";", and past it."""
        first = self._at
        while self._text() != ";":
            if self._at >= len(self._tokens) or self._text() in {"{", "}"}:
                begun = self._tokens[min(first, len(self._tokens) - 1)]
                raise self._source.error("a statement without its ;", begun.start)
            self._at += 1
        self._at += 1
        return tuple(self._tokens[first : self._at - 1])

    def _skip_block(self) -> None:
        opened, depth = self._take("{", "{"), 1
        while depth:
            if self._at >= len(self._tokens):
                raise self._source.error("a { that is not closed", opened.start)
            depth += {"{": 1, "}": -1}.get(self._text(), 0)
            self._at += 1

    def _backend(self) -> None:
        self._at += 1
        name = self._take("a name").text
        attributes: dict[str, Token] = {}
        self._vcl.backends.append(Backend(self._source, name, attributes))
        if self._text() == "none":
            self._statement_tokens()
            return
        self._take("{", "{")
        while self._text() != "}":
            attribute = self._take("an attribute").text
            self._take("=", "=")
            if self._text() == "{":
                self._skip_block()
                self._at += self._text() == ";"
            else:
                value = self._statement_tokens()
                if len(value) == 1:
                    attributes[attribute] = value[0]
        self._at += 1

    def _body(self, sub: str, opened: Token) -> None:
        """The statements of a sub, up to its "}"."""
        blocks = [_Block(opened, ())]
        asked: tuple[Condition, ...] = ()  # by the if that has just ended
        while blocks:
            if self._at >= len(self._tokens):
                raise self._source.error("a { that is not closed", blocks[-1].opened.start)
            if len(blocks) > MAX_BLOCKS:
                raise self._source.error(f"more than {MAX_BLOCKS} blocks deep", opened.start)
            around = blocks[-1].conditions
            token = self._tokens[self._at]
            if self._text() == "}":
                asked = blocks.pop().asked
                self._at += 1
                continue
            if self._text() == "{":
                self._at += 1
                blocks.append(_Block(token, around))
            elif token.kind == "name" and token.text in _IF | {"else"}:
                denied = asked if token.text != "if" else ()
                blocks.append(self._if(around, denied))
            elif token.text == "include" and token.kind == "name":
                self._include(self._statement_tokens())
            else:
                tokens = self._statement_tokens()
                if tokens:
                    stop = self._tokens[self._at - 1].end
                    self._vcl.statements.append(Statement(self._source, sub, around, tokens, stop))
            asked = ()

    def _if(self, around: tuple[Condition, ...], denied: tuple[Condition, ...]) -> _Block:
        """From ``if`` or ``else`` up to and with the "{"."""
        word = self._take("if").text
        if word == "else" and self._text() in _IF:
            self._at += 1
        elif word == "else":
            return _Block(self._take("{", "{"), (*around, *denied))
        condition = self._bracketed()
        asked = (*denied[-_MAX_DENIED:], Condition(condition, False))
        holds = Condition(condition, True)
        return _Block(self._take("{", "{"), (*around, *denied, holds), asked)

    def _bracketed(self) -> tuple[Token, ...]:
        opened, depth, first = self._take("(", "("), 1, self._at
        while depth:
            if self._at >= len(self._tokens) or self._text() in {"{", "}", ";"}:
                raise self._source.error("a ( that is not closed", opened.start)
            depth += {"(": 1, ")": -1}.get(self._text(), 0)
            self._at += 1
        return tuple(self._tokens[first : self._at - 1])

    def _include(self, tokens: tuple[Token, ...]) -> None:
        vcl, names = self._vcl, [token for token in tokens if token.kind == "string"]
        line = self._source.position(tokens[0].start)[0]
        what = f"include {' '.join(name.text for name in names)[:80]}"
        full = self._depth >= _MAX_INCLUDE_DEPTH or len(vcl.included) >= MAX_INCLUDES
        files = self._open_include(names[0].text) if names and not full else []
        if not files:
            vcl.unread.append(UnreadPart(self._source.path, line, what))
        for file in files:
            vcl.included.append(file)
            _Reader(file, self._open_include, vcl, self._depth + 1).read()


def _tokens(source: Source) -> Iterator[Token]:
    text, at = source.text, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        opened = next((mark for mark in _OPENERS if text.startswith(mark, at)), "")
        if found is None or not found[0].startswith(opened):
            what = "is not closed" if opened else "is no token of VCL"
            raise source.error(f"{text[at : at + max(1, len(opened))]!r} {what}", at)
        kind = found.lastgroup
        assert kind is not None  # every branch has a name
        if kind == "string":
            inner = found[0][len(opened) : -len(opened)]
            yield Token(kind, inner, at, found.end())
        elif kind != "space":
            yield Token(kind, found[0], at, found.end())
        at = found.end()
