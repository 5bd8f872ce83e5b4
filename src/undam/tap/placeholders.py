"""Placeholders for the text of captured streams; structure and sizes stay the same.

The same text always has the same placeholder within one file, so the events on both sides of a
proxy still match, and a lost or altered event is still found. The placeholders come from a random
key that is not kept. Lengths and repetitions of texts remain visible.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Sequence

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab"
_TO_LETTERS = bytes(_LETTERS[value % 64] for value in range(256))
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# A number, another word, or a string (possibly cut off); if the string is a key, its colon is
# included.
_JSON = re.compile(
    rb'"(?P<string>(?:[^"\\]|\\.)*+)(?P<end>"?)(?P<colon>[ \t]*:)?'
    rb"|(?P<number>-?\d[\d.eE+-]*)(?=[\s,\]}]|\Z)"
    rb'|(?P<word>[^\s{}\[\]:,"]+)',
    re.DOTALL,
)
_LITERALS = frozenset({b"true", b"false", b"null"})
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,39}\Z")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]{0,63}\Z")
# Keys whose values are defined by the API and are not user data.
_CODES = frozenset({
    "type", "object", "role", "finish_reason", "finishReason", "stop_reason", "done_reason",
    "status", "state", "event", "event_type", "kind", "method", "model", "jsonrpc",
})  # fmt: skip
_NUMBERS = frozenset({"index", "sequence_number", "created", "seq", "due_ns"})
_COUNTS = ("_tokens", "Tokens", "TokenCount", "_count", "tokens_predicted")
_JSON_STARTS = (b"{", b"[", b'"', b"}", b"]")
_KEPT_DATA = frozenset({b"[DONE]", b"DONE"})
_LINE = re.compile(rb"[^\r\n]+")
_FIELD = re.compile(rb"(data|event|id|retry)(:[ \t]?)")
_WORD = re.compile(rb"[^\s\d]+")
_NOT_BLANK = re.compile(rb"\S+")


class Placeholders:
    """Generator of text placeholders, with one random key for all streams in a file."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def bytes_for(self, data: bytes, size: int | None = None) -> bytes:
        """Return letters derived from ``data``; by default, as many as ``data`` has bytes."""
        digest = hashlib.shake_128(self._key + data)
        return digest.digest(len(data) if size is None else size).translate(_TO_LETTERS)

    def text_for(self, text: str) -> str:
        """Return letters for ``text``; its length, replacement characters and blanks are kept."""
        if not text.strip():
            return text
        letters = self.bytes_for(text.encode("utf-8", "surrogatepass"), len(text)).decode("ascii")
        if _REPLACEMENT not in text:
            return letters
        pairs = zip(text, letters, strict=True)
        return "".join(one if one == _REPLACEMENT else letter for one, letter in pairs)

    def sse_body(self, parts: Sequence[bytes]) -> list[bytes]:
        """Return the parts of an event stream, between missing bytes, with their text replaced."""
        found: list[bytes] = []
        for number, part in enumerate(parts):
            # The beginning of this line is missing, so its meaning is unknown.
            start = len(re.match(rb"[^\r\n]*", part)[0]) if number else 0  # type: ignore[index]
            rest = _LINE.sub(lambda match: self._sse_line(match[0]), part[start:])
            found.append(self._opaque(part[:start]) + rest)
        return found

    def json_body(self, parts: Sequence[bytes]) -> list[bytes]:
        """Return the parts of a JSON body with their text replaced."""
        return [self._json(part) for part in parts]

    def _sse_line(self, line: bytes) -> bytes:
        field = _FIELD.match(line)
        if field is None:
            colon = line.startswith(b":")
            return line[:colon] + self._opaque(line[colon:])
        value = line[field.end() :]
        if field[1] == b"data":
            return field[0] + self._data(value)
        if field[1] == b"event" and _CODE.match(value.decode("latin-1")):
            return line
        # Numbers in event IDs are kept, because they show which events were lost.
        return field[0] + _WORD.sub(lambda match: self.bytes_for(match[0]), value)

    def _data(self, value: bytes) -> bytes:
        if value.strip() in _KEPT_DATA or not value.strip():
            return value
        if value.lstrip().startswith(_JSON_STARTS):
            return self._json(value)
        return self.bytes_for(value)

    def _opaque(self, data: bytes) -> bytes:
        return _NOT_BLANK.sub(lambda match: self.bytes_for(match[0]), data)

    def _json(self, data: bytes) -> bytes:
        key = ""

        def replace(match: re.Match[bytes]) -> bytes:
            nonlocal key
            if match["number"] is not None:
                keep = key in _NUMBERS or key.endswith(_COUNTS)
                return match[0] if keep else re.sub(rb"\d", b"1", match[0])
            if match["word"] is not None:
                return match[0] if match[0] in _LITERALS else self.bytes_for(match[0])
            raw, end, colon = match["string"], match["end"], match["colon"] or b""
            text = _decoded(raw) if end else None
            if text is None:
                return b'"' + self.bytes_for(raw) + end + colon
            if colon:
                key = text
                keep = _NAME.match(text) is not None
            else:
                keep = key in _CODES and _CODE.match(text) is not None
            if keep or not text.strip():
                return match[0]
            cover = self.text_for(text).encode("utf-8")
            # An escaped character has more bytes than its placeholder, so blanks are added after
            # the string, where JSON ignores them.
            return b'"' + cover + b'"' + bytes(len(raw) - len(cover)).replace(b"\0", b" ") + colon

        return _JSON.sub(replace, data)


def _decoded(raw: bytes) -> str | None:
    """Return the text of a JSON string, or ``None`` if the string is invalid."""
    try:
        text = json.loads(b'"' + raw + b'"', strict=False)
    except ValueError:
        return None
    return text if isinstance(text, str) else None
