"""Incremental scanner for the top-level members of a JSON object, without I/O.

A request body can contain many megabytes of messages and images, but a few short members at its top
level decide how it is handled. Nested values are skipped with a constant number of C-level
operations per segment, so the time is proportional to the number of bytes, whatever they contain.
In comparison, `json.loads` takes up to a second for 10 MB of brackets.

Nested values are not validated, because the upstream does that.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection
from enum import Enum
from itertools import accumulate

Scalar = str | bool | float | None


class Opaque(Enum):
    """Placeholder for a value that the scanner does not decode."""

    NESTED = "nested"
    """An array or object."""
    LONG = "long"
    """A string of more than `MAX_STRING_BYTES`."""


MAX_STRING_BYTES = 4 << 10
"""Maximum size of a string at the top level that is returned as a value."""
MAX_MEMBERS = 1000
"""Maximum number of members at the top level. Requests to model APIs have fewer than a hundred."""

SEGMENT_BYTES = 16 << 10
"""Size of the data to pass to `JsonScanner.feed` at once. Such a segment takes about 15 µs, and
at most about a millisecond if it consists of brackets only."""

# A complete body of at most this size is read with `json`, which takes a third of the time.
_SMALL_BODY_BYTES = 8 << 10
# A value is skipped in segments that double in size. The segment that contains the end of the value
# is halved until it has at most this size, and is then scanned token by token.
_DETAIL_BYTES = 128
# The first messages identify a conversation. Agents send few messages before the first user
# message.
_MAX_ELEMENTS = 8
_PREFIX_BYTES = 1024
_ROLE_WINDOW_BYTES = 512
_MAX_SCALAR_BYTES = 64

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":", re.DOTALL)
_KEY_OF_MEMBER = re.compile(_SPACE + _KEY.pattern + _SPACE, re.DOTALL)
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR = re.compile(rb"([^,}\]\s\"{\[]++)(?=[,}\s])")
_BLANK = re.compile(_SPACE)
_QUOTE_OR_BRACKET = re.compile(rb'["\[\]{}]')
_USER_ROLE = re.compile(rb'"role"\s*+:\s*+"user"')
_decode = json.JSONDecoder().raw_decode

_OPENING, _CLOSING, _SPACES = b"[{", b"]}", b" \t\r\n"
_QUOTE, _CLOSING_BRACE, _COMMA = ord('"'), ord("}"), ord(",")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Translation table for the nesting depth: an opening bracket becomes 1, and a closing one becomes
# -1 as a signed byte. All other bytes are deleted.
_DELTAS = bytes(1 if byte in _OPENING else 255 for byte in range(256))
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _OPENING + _CLOSING)
_MINUS_ONE = 255


# Scanner states. Module constants are faster to look up than enumeration members.
(
    _BEFORE_OBJECT, _BEFORE_KEY, _BEFORE_VALUE, _AFTER_VALUE, _IN_STRING, _IN_NESTED,
    _BEFORE_ELEMENT, _AFTER_ELEMENT, _AFTER_OBJECT, _FAILED,
) = range(10)  # fmt: skip


class JsonScanner:
    """Scanner for one body. Pass all data to `feed`, and then call `finish`.

    Args:
        wanted: names of the members to return.
        texts: names of members whose beginning identifies a conversation: a string, or an array of
            messages. Messages after the first one by a user do not count.

    Attributes:
        members: the values of the wanted members; of duplicates, the last one.
        spans: start and end of the value of each wanted scalar member, as offsets in the body.
        prefix_hash: checksum of the beginning of the conversation; 0 if there is none.
    """

    __slots__ = (
        "_count", "_crc", "_depth", "_elements", "_head", "_in_string", "_key", "_offset", "_place",
        "_rest", "_stride", "_tail", "_target", "_texts", "_wanted", "members", "prefix_hash",
        "spans",
    )  # fmt: skip

    def __init__(self, wanted: Collection[str], texts: Collection[str] = ()) -> None:
        self.members: dict[str, Scalar | Opaque] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        self.prefix_hash = 0
        self._wanted = wanted
        self._texts = texts
        self._place = _BEFORE_OBJECT
        self._key = ""
        self._count = 0
        self._rest = b""
        self._offset = 0  # Offset of `_rest` in the body.
        # State of the value that is being skipped.
        self._depth = self._target = 0
        self._in_string = False
        self._stride = _DETAIL_BYTES
        # State of the message that is being skipped.
        self._elements = 0
        self._crc = 0
        self._head = self._tail = b""

    @property
    def failed(self) -> bool:
        """True if the body cannot be a JSON object; further data is ignored."""
        return self._place == _FAILED

    def feed(self, data: bytes) -> None:
        """Scan the next part of the body."""
        if not self._offset and not self._rest and self._read_whole(data):
            return
        data = self._rest + data
        at = 0
        while at < len(data) and not self.failed:
            end = self._advance(data, at)
            if end < 0:
                if len(data) - at > 2 * MAX_STRING_BYTES:
                    self._place = _FAILED
                break
            at = end
        self._rest = data[at:]
        self._offset += at

    def finish(self) -> bool:
        """Return whether the body is exactly one JSON object; otherwise clear the results."""
        if self._place == _AFTER_OBJECT and not self._rest:
            return True
        self._place = _FAILED
        self.members, self.spans, self.prefix_hash = {}, {}, 0
        return False

    def _read_whole(self, data: bytes) -> bool:
        """Read a small, complete object; return whether that was possible.

        The results are those of the scan. If the data is anything else, nothing changes.
        """
        if len(data) > _SMALL_BODY_BYTES or data[:1] != b"{" or data.rstrip(_SPACES)[-1:] != b"}":
            return False
        whole = _WholeObject(data, self._wanted, self._texts)
        try:
            end = whole.read()
        except (ValueError, IndexError, RecursionError):
            return False
        if end < len(data):
            return False
        self.members, self.spans, self.prefix_hash = whole.members, whole.spans, whole.prefix_hash
        self._place, self._offset = _AFTER_OBJECT, end
        return True

    def _advance(self, data: bytes, at: int) -> int:
        """Return the position after the next token, or -1 if the token is incomplete."""
        place = self._place
        if place == _IN_NESTED:
            return self._skip_nested(data, at)
        if place == _IN_STRING:
            return self._skip_string(data, at)
        if data[at] in _SPACES:
            at = _end_of_spaces(data, at)
            if at == len(data):
                return at
        if place == _BEFORE_VALUE:
            return self._value(data, at)
        if place == _BEFORE_KEY:
            return self._read_key(data, at)
        if place == _BEFORE_ELEMENT:
            return self._element(data, at)
        return self._mark(data, at)

    def _mark(self, data: bytes, at: int) -> int:
        """Read a single character: an opening brace, or the character after a value."""
        place, mark = self._place, data[at : at + 1]
        if place == _BEFORE_OBJECT and mark == b"{":
            self._place = _BEFORE_KEY
        elif place == _BEFORE_OBJECT and not self._offset and _BYTE_ORDER_MARK.startswith(data[:3]):
            return 3 if len(data) >= 3 else -1
        elif place == _AFTER_VALUE and mark in b",}":
            self._place = _BEFORE_KEY if mark == b"," else _AFTER_OBJECT
        elif place == _AFTER_ELEMENT and mark in b",]":
            self._place = _BEFORE_ELEMENT if mark == b"," else _AFTER_VALUE
        else:
            self._place = _FAILED
            return -1
        return at + 1

    def _fail_if(self, certain: bool) -> int:
        """Return -1; stop the scan if it is ``certain`` that the token is invalid."""
        if certain:
            self._place = _FAILED
        return -1

    # Methods that read the tokens at the top level of the object.

    def _read_key(self, data: bytes, at: int) -> int:
        match = _KEY.match(data, at)
        if match is None:
            if data[at] == _CLOSING_BRACE and not self._count:
                self._place = _AFTER_OBJECT
                return at + 1
            return self._fail_if(data[at] != _QUOTE or len(data) - at > MAX_STRING_BYTES)
        self._count += 1
        key = match[1]
        try:
            self._key = _key_text(key)
        except ValueError:
            return self._fail_if(True)
        if self._count > MAX_MEMBERS:
            return self._fail_if(True)
        self._place = _BEFORE_VALUE
        return match.end()

    def _value(self, data: bytes, at: int) -> int:
        first = data[at]
        if first in _OPENING:
            return self._begin_nested(data, at)
        if first == _QUOTE:
            match = _WHOLE_STRING.match(data, at)
            if match is None:
                if len(data) - at <= MAX_STRING_BYTES:
                    return -1
                self._set_text(data[at + 1 : at + 1 + _PREFIX_BYTES])
                self._set(Opaque.LONG)
                self._place, self._in_string = _IN_STRING, True
                return at + 1
            self._set_text(data[at + 1 : min(match.end() - 1, at + 1 + _PREFIX_BYTES)])
            return self._scalar(match[0], at, match.end())
        match = _SCALAR.match(data, at)
        if match is None:
            return self._fail_if(len(data) - at > _MAX_SCALAR_BYTES or data[at] in b",}]")
        return self._scalar(match[1], at, match.end())

    def _scalar(self, text: bytes, at: int, end: int) -> int:
        self._place = _AFTER_VALUE
        if self._key in self._wanted:
            if len(text) > MAX_STRING_BYTES + 2:
                self._set(Opaque.LONG)
                return end
            try:
                self._set(json.loads(text))
            except ValueError:
                return self._fail_if(True)
            self.spans[self._key] = (self._offset + at, self._offset + end)
        return end

    def _set(self, value: Scalar | Opaque) -> None:
        if self._key in self._wanted:
            self.members[self._key] = value
            self.spans.pop(self._key, None)

    def _set_text(self, text: bytes) -> None:
        if self._key in self._texts:
            self.prefix_hash = zlib.crc32(text, self.prefix_hash)

    # Nested values.

    def _begin_nested(self, data: bytes, at: int) -> int:
        self._set(Opaque.NESTED)
        if self._key in self._texts and data[at] == _OPENING[0]:
            self._place, self._elements = _BEFORE_ELEMENT, 0
            return at + 1
        self._skip_to(1, depth=2)
        return at + 1

    def _skip_to(self, target: int, *, depth: int) -> None:
        self._place, self._target, self._depth = _IN_NESTED, target, depth
        self._in_string = False
        self._stride = _DETAIL_BYTES

    def _element(self, data: bytes, at: int) -> int:
        """Begin an element of an array of messages."""
        if data[at] == _OPENING[1]:
            self._crc, self._head, self._tail = self.prefix_hash, b"", b""
            self._skip_to(2, depth=3)
            return at + 1
        # The array is empty, or its elements are not objects.
        self._skip_to(1, depth=2)
        return at

    def _add_to_element(self, piece: bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._head += piece[: _ROLE_WINDOW_BYTES - len(self._head)]
        self._tail = (self._tail + piece[-_ROLE_WINDOW_BYTES:])[-_ROLE_WINDOW_BYTES:]

    def _end_element(self) -> None:
        self.prefix_hash = self._crc
        self._elements += 1
        if _is_by_user(self._head, self._tail) or self._elements >= _MAX_ELEMENTS:
            self._skip_to(1, depth=2)
        else:
            self._place = _AFTER_ELEMENT

    def _skip_string(self, data: bytes, at: int) -> int:
        end = _rest_of_string(data, at, len(data))
        if end < len(data) and data[end] == _QUOTE:
            self._place = _AFTER_VALUE
            return end + 1
        return end if end > at else -1

    def _skip_nested(self, data: bytes, at: int) -> int:
        """Skip data up to the end of the nested value, and return the position after the value."""
        size = min(self._stride, len(data) - at)
        end = -1
        while size > _DETAIL_BYTES:
            end = self._skip_segment(data, at, size)
            if end >= 0:
                self._stride = 2 * size
                break
            size //= 2
            self._stride = size
        if end < 0:
            end = self._skip_in_detail(data, at, at + size)
            self._stride *= 2
        if end > at and self._target == 2:
            self._add_to_element(data[at:end])
        if self._depth == self._target and not self._in_string:
            if self._target == 2:
                self._end_element()
            else:
                self._place = _AFTER_VALUE
        return end if end > at else -1

    def _skip_segment(self, data: bytes, at: int, size: int) -> int:
        """Skip ``size`` bytes, and return the position after them; -1 if the value ends within."""
        segment = data[at : at + size]
        if (len(segment) - len(segment.rstrip(b"\\"))) % 2:
            segment = segment[:-1]  # An escape sequence must not be split.
        size = len(segment)
        if b"\\" in segment:
            segment = segment.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = segment.split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        deltas = outside.translate(_DELTAS, _NOT_BRACKETS)
        closing = deltas.count(_MINUS_ONE)
        if self._depth - closing <= self._target:
            depths = accumulate(memoryview(deltas).cast("b"), initial=self._depth)
            if min(depths) <= self._target:
                return -1
        self._depth += len(deltas) - 2 * closing
        self._in_string ^= len(parts) % 2 == 0
        return at + size

    def _skip_in_detail(self, data: bytes, at: int, end: int) -> int:
        while at < end:
            if self._in_string:
                at = _rest_of_string(data, at, end)
                if at >= end or data[at] != _QUOTE:
                    break
                self._in_string = False
                at += 1
                continue
            match = _QUOTE_OR_BRACKET.search(data, at, end)
            if match is None:
                return end
            at = match.end()
            if match[0] == b'"':
                self._in_string = True
            elif match[0] in _OPENING:
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == self._target:
                    break
        return at


class _WholeObject:
    """Reader for the members of a complete JSON object, with the results of `JsonScanner`.

    Offsets in the text are offsets in the data, because the data is decoded as Latin-1.
    """

    __slots__ = ("_data", "_text", "_texts", "_wanted", "members", "prefix_hash", "spans")

    def __init__(self, data: bytes, wanted: Collection[str], texts: Collection[str]) -> None:
        self.members: dict[str, Scalar | Opaque] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        self.prefix_hash = 0
        self._data, self._text = data, data.decode("latin-1")
        self._wanted, self._texts = wanted, texts

    def read(self) -> int:
        """Read all members; return the position after the object and the spaces behind it.

        Raises:
            ValueError: the data is not a JSON object, or has too many members.
            RecursionError: a value is nested too deeply.
        """
        data, at = self._data, 1
        for _ in range(MAX_MEMBERS):
            key = _KEY_OF_MEMBER.match(data, at)
            if key is None:
                raise ValueError("no key")
            at = self._read_value(_key_text(key[1]), key.end())
            if data[at] in _SPACES:
                at = _end_of_spaces(data, at)
            if data[at] == _CLOSING_BRACE:
                return _end_of_spaces(data, at + 1)
            if data[at] != _COMMA:
                raise ValueError("no comma")
            at += 1
        raise ValueError("too many members")

    def _read_value(self, key: str, at: int) -> int:
        value, end = _decode(self._text, at)
        if key in self._texts:
            if isinstance(value, str):
                text = self._data[at + 1 : min(end - 1, at + 1 + _PREFIX_BYTES)]
                self.prefix_hash = zlib.crc32(text, self.prefix_hash)
            elif isinstance(value, list):
                self._add_messages(value, at + 1)
        if key in self._wanted:
            self.spans.pop(key, None)
            if isinstance(value, list | dict):
                self.members[key] = Opaque.NESTED
            elif isinstance(value, str) and end - at > MAX_STRING_BYTES + 2:
                self.members[key] = Opaque.LONG
            else:
                is_text = isinstance(value, str)
                self.members[key] = json.loads(self._data[at:end]) if is_text else value
                self.spans[key] = at, end
        return end

    def _add_messages(self, messages: list[object], at: int) -> None:
        """Add the messages up to the first one by a user to the checksum."""
        data = self._data
        for message in messages[:_MAX_ELEMENTS]:
            if not isinstance(message, dict):
                return
            at = _end_of_spaces(data, at)
            _, end = _decode(self._text, at)
            piece = data[at + 1 : end]
            self.prefix_hash = zlib.crc32(piece, self.prefix_hash)
            if _is_by_user(piece[:_ROLE_WINDOW_BYTES], piece[-_ROLE_WINDOW_BYTES:]):
                return
            at = _end_of_spaces(data, end) + 1


def _key_text(key: bytes) -> str:
    text = json.loads(key) if b"\\" in key else key[1:-1].decode()
    assert isinstance(text, str)
    return text


def _is_by_user(head: bytes, tail: bytes) -> bool:
    return _USER_ROLE.search(head) is not None or _USER_ROLE.search(tail) is not None


def _rest_of_string(data: bytes, at: int, end: int) -> int:
    """Return the position of the closing quote or of an incomplete escape; else ``end``."""
    match = _STRING_REST.match(data, at, end)
    return at if match is None else match.end()


def _end_of_spaces(data: bytes, at: int) -> int:
    match = _BLANK.match(data, at)
    return at if match is None else match.end()
