"""lighttpd.conf as assignments in nested conditions, with places (wiki, Docs_Configuration)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from undam.lint.dialect import IncludeOpener
from undam.textfiles.source import Source, UnreadPart

# Deeper ones, and more files, are taken for a loop.
MAX_BLOCKS = 64
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    | "(?P<string>(?:[^"\\]|\\.)*)"
    | (?P<var>\$[A-Z_]+)
    | (?P<op>=>|=~|=\^|=\$|==|!=|!~|\+=|:=|=|\+|[(){},\[\]])
    | (?P<word>[\w.-]+)""",
    re.VERBOSE | re.DOTALL,
)
_ASSIGNS = frozenset({"=", "+=", ":="})
_TESTS = frozenset({"==", "=~", "!=", "!~", "=^", "=$"})
_ELSE = frozenset({"else", "elsif", "elseif"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``kind`` is "string" (text without its quotes), "var", "op" or "word"."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Test:
    """A condition: ``$HTTP["url"] =~ "^/v1/"`` is ("url", "=~", "^/v1/"). What stands behind
    a bare `else` has no field."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Assign:
    """``name = value``.

    Args:
        tests: the conditions around it, outermost first.
        value: the tokens of its value, brackets and operators too.
    """

    source: Source
    name: str
    start: int
    tests: tuple[Test, ...]
    value: tuple[Token, ...]

    @property
    def end(self) -> int:
        return self.value[-1].end

    @property
    def number(self) -> tuple[int, Token] | None:
        """Its value as a number, and the token it stands in."""
        return number_in(self.value[0]) if len(self.value) == 1 else None


@dataclass(slots=True)
class Config:
    """A file and those it includes, in the order in which lighttpd reads them."""

    assigns: list[Assign] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)
    _named: dict[str, list[Assign]] = field(default_factory=dict)
    _last: dict[tuple[str, tuple[Test, ...]], tuple[int, Assign]] = field(default_factory=dict)

    def add(self, assign: Assign) -> None:
        """Keep one, in the order of the text."""
        self.assigns.append(assign)
        self._named.setdefault(assign.name, []).append(assign)
        self._last[assign.name, assign.tests] = (len(self.assigns), assign)

    def named(self, name: str) -> list[Assign]:
        """Those of one name."""
        return self._named.get(name, [])

    def last(self, name: str, tests: tuple[Test, ...]) -> tuple[int, Assign] | None:
        """The last one of a name under these conditions, and its place in the order."""
        return self._last.get((name, tests))


def number_in(token: Token) -> tuple[int, Token] | None:
    """A number, which may stand in quotes."""
    text = token.text.strip()
    return (int(text), token) if text.isascii() and text.isdecimal() and len(text) < 12 else None


def read_config(source: Source, open_include: IncludeOpener) -> Config:
    """Read a file and those it includes. Raises ConfigSyntaxError."""
    config = Config()
    _Reader(source, open_include, config, ()).read()
    return config


class _Reader:
    """Reads one file into a ``Config``."""

    def __init__(
        self, source: Source, open_include: IncludeOpener, config: Config, around: tuple[Test, ...]
    ) -> None:
        self._source = source
        self._open_include = open_include
        self._config = config
        self._around = around
        self._tokens = list(_tokens(source))
        self._at = 0
        self._depth = 0

    def read(self, depth: int = 0) -> None:
        """Read all of it."""
        self._depth = depth
        blocks: list[tuple[Token, tuple[Test, ...]]] = []
        tests = self._around
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.text == "}" and token.kind == "op":
                if not blocks:
                    raise self._source.error("a } that closes nothing", token.start)
                blocks.pop()
                self._at += 1
            elif token.kind == "var" or (token.kind == "word" and token.text in _ELSE):
                if len(blocks) >= MAX_BLOCKS:
                    raise self._source.error(f"more than {MAX_BLOCKS} blocks deep", token.start)
                test = self._condition()
                blocks.append((self._tokens[self._at - 1], (*tests, test)))
            elif token.kind == "word" and token.text in {"include", "include_shell"}:
                self._include(token, tests)
            elif token.kind == "word" and token.text == "global" and self._text(1) == "{":
                blocks.append((self._tokens[self._at + 1], self._around))
                self._at += 2
            elif token.kind == "word":
                self._assign(token, tests)
            else:
                raise self._source.error(f"unexpected {token.text[:20]!r}", token.start)
            tests = blocks[-1][1] if blocks else self._around
        if blocks:
            raise self._source.error("a { that is not closed", blocks[-1][0].start)

    def _text(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at].text if at < len(self._tokens) else ""

    def _take(self, what: str, *texts: str) -> Token:
        """The next token, which must be one of these texts (or of the kind ``what``)."""
        if self._at >= len(self._tokens):
            raise self._source.error(f"the text ends before {what}", len(self._source.text))
        token = self._tokens[self._at]
        if token.text not in texts if texts else token.kind != what:
            raise self._source.error(f"{what} expected before {token.text[:20]!r}", token.start)
        self._at += 1
        return token

    def _condition(self) -> Test:
        """From ``$HTTP`` or ``else`` up to and with the "{"."""
        if self._text() in _ELSE:
            self._at += 1
            if self._text() == "if":
                self._at += 1
            if self._text() == "{":
                self._at += 1
                # Its place keeps it apart from every other `else`.
                return Test("", "", f"{self._source.path}:{self._at}")
        self._take("var")
        self._take("[", "[")
        name = self._take("string").text
        self._take("]", "]")
        operator = self._take("a comparison", *_TESTS).text
        value = [token.text for token in self._value() if token.kind == "string"]
        self._take("{", "{")
        return Test(name.lower(), operator, "".join(value))

    def _assign(self, name: Token, tests: tuple[Test, ...]) -> None:
        self._at += 1
        self._take("=", *_ASSIGNS)
        value = self._value()
        self._config.add(Assign(self._source, name.text, name.start, tests, value))

    def _value(self) -> tuple[Token, ...]:
        """Terms joined by "+"; an array is all that its brackets hold."""
        first = self._at
        while True:
            if self._text() == "(" and self._tokens[self._at].kind == "op":
                self._array()
            elif self._at < len(self._tokens) and self._tokens[self._at].kind in {"string", "word"}:
                self._at += 1
            else:
                self._no_value()
            if self._text() != "+" or self._tokens[self._at].kind != "op":
                return tuple(self._tokens[first : self._at])
            self._at += 1

    def _no_value(self) -> NoReturn:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            raise self._source.error(f"a value expected before {token.text[:20]!r}", token.start)
        raise self._source.error("the text ends before a value", len(self._source.text))

    def _array(self) -> None:
        opened, depth = self._tokens[self._at], 0
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.kind == "op":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                if token.text in "{}":
                    break
            if depth == 0:
                return
        raise self._source.error("a ( that is not closed", opened.start)

    def _include(self, token: Token, tests: tuple[Test, ...]) -> None:
        self._at += 1
        value = self._value()
        line = self._source.position(token.start)[0]
        literal = len(value) == 1 and value[0].kind == "string" and token.text == "include"
        what = f"{token.text} {' '.join(one.text for one in value)[:80]}"
        config = self._config
        if self._depth >= _MAX_INCLUDE_DEPTH or len(config.included) >= MAX_INCLUDES:
            config.unread.append(UnreadPart(self._source.path, line, f"{what}: too many includes"))
            return
        files = self._open_include(value[0].text) if literal else []
        if not files:
            config.unread.append(UnreadPart(self._source.path, line, what))
        for file in files:
            config.included.append(file)
            _Reader(file, self._open_include, config, tests).read(self._depth + 1)


def _tokens(source: Source) -> Iterator[Token]:
    at = 0
    while at < len(source.text):
        found = _TOKEN.match(source.text, at)
        if found is None:
            what = "a string is not closed" if source.text[at] == '"' else "unexpected character"
            raise source.error(what, at)
        kind = found.lastgroup
        assert kind is not None  # every branch has a name
        if kind != "space":
            yield Token(kind, found[kind], at, found.end())
        at = found.end()
