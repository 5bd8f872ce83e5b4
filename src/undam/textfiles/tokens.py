"""Words and tokens in a text, with their positions, and a cursor over tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source

_STRING = "string"
# Maximum length of a token's text in an error message.
_EXCERPT = 20


@dataclass(frozen=True, slots=True)
class Word:
    """One word in a line.

    Args:
        text: without quotes and escapes.
        start, end: offsets of the word as written, quotes included.
    """

    text: str
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Args:
        kind: the tokenizer's name for this kind of token, such as "string" or "op".
        text: without the quotes of a string.
        start, end: offsets of the token as written, quotes included.
    """

    kind: str
    text: str
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


class TokenCursor:
    """Cursor over the tokens of a text.

    Args:
        at: index of the next token.
    """

    def __init__(self, source: Source, tokens: Iterable[Token]) -> None:
        self.source = source
        self.tokens = list(tokens)
        self.at = 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.tokens)

    @property
    def next(self) -> Token:
        """Next token; not available at the end."""
        return self.tokens[self.at]

    def text(self, ahead: int = 0) -> str:
        """Return a token's text; "" for a string or past the last token.

        Strings are empty so that punctuation and keywords inside quotes are never mistaken for
        syntax.
        """
        at = self.at + ahead
        token = self.tokens[at] if at < len(self.tokens) else None
        return token.text if token is not None and token.kind != _STRING else ""

    def take(self, what: str, *texts: str) -> Token:
        """Return the next token and move past it.

        Args:
            what: the name of the expected token in the error message.
            texts: the texts that the token may have.

        Raises:
            ConfigSyntaxError: the next token is a different one.
        """
        if self.done or self.text() not in texts:
            raise self.unexpected(what)
        return self._move()

    def take_kind(self, what: str, kind: str) -> Token:
        """Return the next token, which must be of the given kind, and move past it.

        Raises:
            ConfigSyntaxError: the next token is a different one.
        """
        if self.done or self.next.kind != kind:
            raise self.unexpected(what)
        return self._move()

    def unexpected(self, what: str) -> ConfigSyntaxError:
        """Create the error for an unexpected token; the caller must raise it."""
        if self.done:
            return self.source.error(f"the text ends before {what}", len(self.source.text))
        token = self.next
        return self.source.error(f"{what} expected before {token.text[:_EXCERPT]!r}", token.start)

    def _move(self) -> Token:
        token = self.next
        self.at += 1
        return token
