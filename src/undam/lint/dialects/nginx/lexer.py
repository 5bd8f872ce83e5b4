"""nginx's own way of cutting a text into words (ngx_conf_read_token), with places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from undam.textfiles.source import Source


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    END = ";"
    OPEN = "{"
    CLOSE = "}"
    LUA = "lua"


@dataclass(frozen=True, slots=True)
class Token:
    """A token; ``text`` is a word without its quotes and escapes."""

    kind: Kind
    text: str
    start: int
    end: int


_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"[^\n]*")
# A word ends at white space, at `;`, and at a `{` that does not follow a `$`; nothing else, so
# quotes, braces and number signs inside belong to it.
_WORD = re.compile(r"(?:\\.|\$\{|[^ \t\r\n;{\\])++\\?", re.DOTALL)
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.)*+)'", re.DOTALL),
}
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_AFTER_QUOTES = frozenset(" \t\r\n;{)")
_MARKS = {";": Kind.END, "{": Kind.OPEN, "}": Kind.CLOSE}

# OpenResty's Lua blocks hold braces that are not nginx's. What can hide one: strings and comments.
# A quote ends with its line at the latest, so that no scan is made twice.
_LUA_NAME = re.compile(r"\w+_by_lua_block\Z")
_LUA = re.compile(
    r"(?:--)?\[(=*)\[|--[^\n]*|[{}]|\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?", re.DOTALL
)


def tokens(source: Source) -> Iterator[Token]:
    """The tokens of a text; of a Lua block, its braces and the text between as one.

    Raises:
        ConfigSyntaxError: a quote that is not closed, or something right after one.
    """
    text, at, first = source.text, 0, ""
    if text.startswith("\ufeff"):
        at = 1
    while True:
        at = _end(_SPACE, text, at)
        if at >= len(text):
            return
        if text[at] == "#":
            at = _end(_COMMENT, text, at)
            continue
        token = _token(source, at)
        if token.kind is Kind.OPEN and _LUA_NAME.match(first):
            token = _lua_block(source, at)
        yield token
        at = token.end
        first = (first or token.text) if token.kind is Kind.WORD else ""


def _token(source: Source, at: int) -> Token:
    text, sign = source.text, source.text[at]
    if sign in _MARKS:
        return Token(_MARKS[sign], sign, at, at + 1)
    if sign not in _QUOTED:
        end = _end(_WORD, text, at)
        return Token(Kind.WORD, _unescaped(text[at:end]), at, end)
    quoted = _QUOTED[sign].match(text, at)
    if quoted is None:
        raise source.error(f"a {sign} is not closed", at)
    end = quoted.end()
    if end < len(text) and text[end] not in _AFTER_QUOTES:
        raise source.error(f"unexpected {text[end]!r} after a quoted word", end)
    return Token(Kind.WORD, _unescaped(quoted[1]), at, end)


def _lua_block(source: Source, at: int) -> Token:
    text, depth, place = source.text, 0, at
    while part := _LUA.search(text, place):
        place = part.end()
        if part[0] in {"{", "}"}:
            depth += 1 if part[0] == "{" else -1
            if depth == 0:
                return Token(Kind.LUA, text[at:place], at, place)
        elif part[1] is not None:
            closing = f"]{part[1]}]"
            end = text.find(closing, place)
            place = end + len(closing) if end >= 0 else len(text)
    raise source.error("a Lua block is not closed", at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else len(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text)
