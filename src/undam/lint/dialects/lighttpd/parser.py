"""Parser for lighttpd.conf: assignments in nested conditions (wiki: Docs_Configuration)."""

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
class UrlCondition:
    """A condition. For example, ``$HTTP["url"] =~ "^/v1/"`` becomes ("url", "=~", "^/v1/").

    The condition of a bare `else` has an empty field.
    """

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """An assignment ``name = value`` in a lighttpd.conf.

    Args:
        conditions: the conditions around it, outermost first.
        value: the tokens of the value, including brackets and operators.
    """

    source: Source
    name: str
    start: int
    conditions: tuple[UrlCondition, ...]
    value: tuple[Token, ...]

    @property
    def end(self) -> int:
        return self.value[-1].end

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end

    @property
    def name_span(self) -> tuple[int, int]:
        return self.start, self.start + len(self.name)

    @property
    def number(self) -> tuple[int, Token] | None:
        """The value as a number together with its token; ``None`` if it is not a number."""
        return number_in(self.value[0]) if len(self.value) == 1 else None


@dataclass(slots=True)
class LighttpdConfig:
    """A file with its included files, in the order in which lighttpd reads them."""

    assignments: list[Assignment] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)
    _named: dict[str, list[Assignment]] = field(default_factory=dict)
    _last: dict[tuple[str, tuple[UrlCondition, ...]], tuple[int, Assignment]] = field(
        default_factory=dict
    )

    def add(self, assignment: Assignment) -> None:
        """Add an assignment. Assignments must be added in text order."""
        self.assignments.append(assignment)
        self._named.setdefault(assignment.name, []).append(assignment)
        self._last[assignment.name, assignment.conditions] = (len(self.assignments), assignment)

    def named(self, name: str) -> list[Assignment]:
        """Return the assignments to this name."""
        return self._named.get(name, [])

    def last(
        self, name: str, conditions: tuple[UrlCondition, ...]
    ) -> tuple[int, Assignment] | None:
        """Return the last assignment to a name under exactly these conditions, with its index."""
        return self._last.get((name, conditions))


def number_in(token: Token) -> tuple[int, Token] | None:
    """Parse a token as a number, quoted or not; ``None`` if it is not a number."""
    text = token.text.strip()
    return (int(text), token) if text.isascii() and text.isdecimal() and len(text) < 12 else None


def read_config(source: Source, open_include: IncludeOpener) -> LighttpdConfig:
    """Parse a file and all files that it includes.

    Raises:
        ConfigSyntaxError: one of the files cannot be parsed.
    """
    config = LighttpdConfig()
    _LighttpdReader(source, open_include, config, ()).read()
    return config


class _LighttpdReader:
    """Reader that parses one file into a ``LighttpdConfig``.

    Args:
        around: the conditions that apply to the whole file.
    """

    def __init__(
        self,
        source: Source,
        open_include: IncludeOpener,
        config: LighttpdConfig,
        around: tuple[UrlCondition, ...],
    ) -> None:
        self._source = source
        self._open_include = open_include
        self._config = config
        self._around = around
        self._cursor = TokenCursor(source, _tokens(source))
        self._depth = 0

    def read(self, depth: int = 0) -> None:
        """Add all assignments in the file to the configuration."""
        self._depth = depth
        blocks: list[tuple[Token, tuple[UrlCondition, ...]]] = []
        conditions = self._around
        while not self._cursor.done:
            token = self._cursor.next
            if token.text == "}" and token.kind == "op":
                if not blocks:
                    raise self._source.error("this } has no matching {", token.start)
                blocks.pop()
                self._cursor.at += 1
            elif token.kind == "var" or (token.kind == "word" and token.text in _ELSE):
                if len(blocks) >= MAX_BLOCKS:
                    raise self._source.error(
                        f"blocks are nested more than {MAX_BLOCKS} levels deep", token.start
                    )
                test = self._condition()
                blocks.append((self._cursor.tokens[self._cursor.at - 1], (*conditions, test)))
            elif token.kind == "word" and token.text in {"include", "include_shell"}:
                self._include(token, conditions)
            elif token.kind == "word" and token.text == "global" and self._cursor.text(1) == "{":
                blocks.append((self._cursor.tokens[self._cursor.at + 1], self._around))
                self._cursor.at += 2
            elif token.kind == "word":
                self._assign(token, conditions)
            else:
                raise self._source.error(f"unexpected {token.text[:20]!r}", token.start)
            conditions = blocks[-1][1] if blocks else self._around
        if blocks:
            raise self._source.error("this { is not closed", blocks[-1][0].start)

    def _condition(self) -> UrlCondition:
        """Parse a condition, from ``$HTTP`` or ``else`` up to and including the "{"."""
        if self._cursor.text() in _ELSE:
            self._cursor.at += 1
            if self._cursor.text() == "if":
                self._cursor.at += 1
            if self._cursor.text() == "{":
                self._cursor.at += 1
                # The position makes each `else` condition unique.
                return UrlCondition("", "", f"{self._source.path}:{self._cursor.at}")
        self._cursor.take_kind("var", "var")
        self._cursor.take("[", "[")
        name = self._cursor.take_kind("string", "string").text
        self._cursor.take("]", "]")
        operator = self._cursor.take("a comparison", *_TESTS).text
        value = [token.text for token in self._value() if token.kind == "string"]
        self._cursor.take("{", "{")
        return UrlCondition(name.lower(), operator, "".join(value))

    def _assign(self, name: Token, conditions: tuple[UrlCondition, ...]) -> None:
        self._cursor.at += 1
        self._cursor.take("=", *_ASSIGNS)
        value = self._value()
        self._config.add(Assignment(self._source, name.text, name.start, conditions, value))

    def _value(self) -> tuple[Token, ...]:
        """Parse terms that are joined by "+"; an array is a single term."""
        first = self._cursor.at
        while True:
            if self._cursor.text() == "(":
                self._array()
            elif not self._cursor.done and self._cursor.next.kind in {"string", "word"}:
                self._cursor.at += 1
            else:
                raise self._cursor.unexpected("a value")
            if self._cursor.text() != "+":
                return tuple(self._cursor.tokens[first : self._cursor.at])
            self._cursor.at += 1

    def _array(self) -> None:
        opened, depth = self._cursor.next, 0
        while not self._cursor.done:
            token = self._cursor.next
            self._cursor.at += 1
            if token.kind == "op":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                if token.text in "{}":
                    break
            if depth == 0:
                return
        raise self._source.error("this ( is not closed", opened.start)

    def _include(self, token: Token, conditions: tuple[UrlCondition, ...]) -> None:
        self._cursor.at += 1
        value = self._value()
        line = self._source.position(token.start)[0]
        literal = len(value) == 1 and value[0].kind == "string" and token.text == "include"
        what = f"{token.text} {' '.join(one.text for one in value)[:80]}"
        config = self._config
        if self._depth >= _MAX_INCLUDE_DEPTH or len(config.included) >= MAX_INCLUDES:
            config.unread.append(UnreadPart(self._source.path, line, f"{what}: too many includes"))
            return
        files = self._open_include(value[0].text) if literal else []
        if not files or isinstance(files, PartlyOpened):
            config.unread.append(UnreadPart(self._source.path, line, what))
        for file in files:
            config.included.append(file)
            _LighttpdReader(file, self._open_include, config, conditions).read(self._depth + 1)


def _tokens(source: Source) -> Iterator[Token]:
    at = 0
    while at < len(source.text):
        found = _TOKEN.match(source.text, at)
        if found is None:
            what = "this string is not closed" if source.text[at] == '"' else "unexpected character"
            raise source.error(what, at)
        kind = found.lastgroup
        assert kind is not None  # every alternative is a named group
        if kind != "space":
            yield Token(kind, found[kind], at, found.end())
        at = found.end()


def number_or_default(assignment: Assignment | None) -> int | None:
    """Return the value of a directive; 0 if it is not set, ``None`` if it is not a number."""
    if assignment is None:
        return 0
    return assignment.number[0] if assignment.number is not None else None
