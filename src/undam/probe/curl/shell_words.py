"""Division of a command line into words, in the syntax of POSIX shells or of cmd on Windows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from undam.errors import UsageError

# Operators that end a simple command: pipes, list operators and redirections.
_END = re.compile(r"[|;<]|&(?:&|\s|$)|\d?>")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_LINE_CONTINUATION = re.compile(r"\\\r?\n")
_ANSI_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_LETTERS = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v",
}  # fmt: skip
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def shell_words(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the words of the first simple command in ``text``.

    Quotes, backslashes, ``$'…'`` and variables are understood. Anything after a pipe, a semicolon
    or a redirection is ignored, and so is a leading prompt (``$ curl …``).

    Args:
        environ: values of variables, which are replaced outside of single quotes.

    Raises:
        UsageError: a quote is not closed, or a variable is not set.
    """
    if '^"' in text:
        # In cmd, a caret escapes the next character. A caret before a line end continues the
        # command.
        joined = re.sub(r"\^\r?\n(?!\r?\n)[ \t]*", " ", text)
        text = re.sub(r"\^(\r?\n)\r?\n", r"\1", joined)
        return _Scanner(re.sub(r"\^(.)", r"\1", text, flags=re.DOTALL), {}, cmd=True).words()
    return _Scanner(text.strip().removeprefix("$ "), environ, cmd=False).words()


class _Scanner:
    """Scanner for one command line."""

    def __init__(self, text: str, environ: Mapping[str, str], *, cmd: bool) -> None:
        self._text = text
        self._environ = environ
        self._cmd = cmd
        self._at = 0

    def words(self) -> list[str]:
        """Return all words until the end of the command."""
        found: list[str] = []
        while (word := self._word()) is not None:
            found.append(word)
        return found

    def _word(self) -> str | None:
        self._skip_space()
        text = self._text
        if self._at >= len(text) or (not self._cmd and _END.match(text, self._at)):
            return None
        parts: list[str] = []
        while self._at < len(text) and not text[self._at].isspace():
            char = text[self._at]
            if not self._cmd and char in "|;<>":
                break
            parts.append(self._part(char))
        return "".join(parts)

    def _skip_space(self) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
            elif not self._cmd and (match := _LINE_CONTINUATION.match(text, self._at)):
                self._at = match.end()
            else:
                return

    def _part(self, char: str) -> str:
        """Return one quoted string, variable or character, and advance past it."""
        text = self._text
        if char == '"':
            return self._double_quoted()
        if not self._cmd:
            if char == "'":
                return self._until_quote(self._at + 1)
            if text.startswith("$'", self._at):
                return self._ansi_quoted()
            if char == "$" and (match := _VARIABLE.match(text, self._at)):
                self._at = match.end()
                return self._variable(match)
            if match := _LINE_CONTINUATION.match(text, self._at):
                self._at = match.end()
                return ""
            if char == "\\" and self._at + 1 < len(text):
                self._at += 2
                return text[self._at - 1]
        self._at += 1
        return char

    def _until_quote(self, start: int) -> str:
        end = self._text.find("'", start)
        if end < 0:
            raise _unclosed("'")
        self._at = end + 1
        return self._text[start:end]

    def _double_quoted(self) -> str:
        parts: list[str] = []
        self._at += 1
        text = self._text
        escapable = '"\\' if self._cmd else '"\\$`'
        while self._at < len(text):
            char = text[self._at]
            if char == '"':
                self._at += 1
                return "".join(parts)
            if char == "\\" and text[self._at + 1 : self._at + 2] in (*escapable, "\n"):
                following = text[self._at + 1]
                parts.append("" if following == "\n" else following)
                self._at += 2
            elif char == "$" and not self._cmd and (match := _VARIABLE.match(text, self._at)):
                self._at = match.end()
                parts.append(self._variable(match))
            else:
                parts.append(char)
                self._at += 1
        raise _unclosed('"')

    def _ansi_quoted(self) -> str:
        start = self._at = self._at + 2
        text = self._text
        while self._at < len(text):
            if text[self._at] == "'":
                self._at += 1
                decoded = _ANSI_ESCAPE.sub(_unescaped, text[start : self._at - 1])
                return _SURROGATES.sub(_joined, decoded)
            self._at += 2 if text[self._at] == "\\" else 1
        raise _unclosed("$'")

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1] or match[2]
        value = self._environ.get(name)
        if value is None:
            raise UsageError(f"--curl: the command uses ${name}, which is not set")
        return value


def _unescaped(match: re.Match[str]) -> str:
    hexadecimal = match[1] or match[2] or match[3]
    if hexadecimal:
        number = int(hexadecimal, 16)
        return chr(number) if number <= 0x10FFFF else ""
    if match[4]:
        return chr(int(match[4], 8) & 0xFF)
    return _ANSI_LETTERS.get(match[5], match[5])


def _joined(match: re.Match[str]) -> str:
    """Join a surrogate pair, which browsers write for characters beyond U+FFFF."""
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _unclosed(quote: str) -> UsageError:
    return UsageError(f"--curl: the quote {quote} is not closed; is the command complete?")
