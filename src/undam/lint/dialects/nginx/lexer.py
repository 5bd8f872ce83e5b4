"""Lexer for nginx.conf. It splits tokens in the same way as nginx (ngx_conf_read_token)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.textfiles.source import Source
from undam.textfiles.tokens import Token

WORD = "word"
END = ";"
OPEN = "{"
CLOSE = "}"
LUA = "lua"
"""The kinds of tokens. A token of kind LUA is a whole Lua block with its braces."""

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"[^\n]*")
# A word ends only at white space, at `;`, or at a `{` that does not follow a `$`. Quotes, other
# braces and number signs inside a word are part of it.
_WORD = re.compile(r"(?:\\.|\$\{|[^ \t\r\n;{\\])++\\?", re.DOTALL)
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.)*+)'", re.DOTALL),
}
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_AFTER_QUOTES = frozenset(" \t\r\n;{)")
_PUNCTUATION = frozenset({END, OPEN, CLOSE})

# OpenResty Lua blocks contain braces; those in Lua strings and comments are not counted. A quoted
# string never extends past its line, so that no text is scanned twice.
_LUA_NAME = re.compile(r"\w+_by_lua_block\Z")
_LUA = re.compile(
    r"(?:--)?\[(=*)\[|--[^\n]*|[{}]|\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?", re.DOTALL
)


def tokens(source: Source) -> Iterator[Token]:
    """Yield the tokens in a text. Quotes and escapes are removed from words.

    Raises:
        ConfigSyntaxError: a quote or a Lua block is not closed, or text follows a quoted word
            without a space.
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
        if token.kind == OPEN and _LUA_NAME.match(first):
            token = _lua_block(source, at)
        yield token
        at = token.end
        first = (first or token.text) if token.kind == WORD else ""


def _token(source: Source, at: int) -> Token:
    text, sign = source.text, source.text[at]
    if sign in _PUNCTUATION:
        return Token(sign, sign, at, at + 1)
    if sign not in _QUOTED:
        end = _end(_WORD, text, at)
        return Token(WORD, _unescaped(text[at:end]), at, end)
    quoted = _QUOTED[sign].match(text, at)
    if quoted is None:
        raise source.error(f"this {sign} is not closed", at)
    end = quoted.end()
    if end < len(text) and text[end] not in _AFTER_QUOTES:
        raise source.error(f"unexpected {text[end]!r} after a quoted word", end)
    return Token(WORD, _unescaped(quoted[1]), at, end)


def _lua_block(source: Source, start: int) -> Token:
    text, depth, at = source.text, 0, start
    while part := _LUA.search(text, at):
        at = part.end()
        if part[0] in {"{", "}"}:
            depth += 1 if part[0] == "{" else -1
            if depth == 0:
                return Token(LUA, text[start:at], start, at)
        elif part[1] is not None:
            closing = f"]{part[1]}]"
            end = text.find(closing, at)
            at = end + len(closing) if end >= 0 else len(text)
    raise source.error("this Lua block is not closed", start)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else len(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)
