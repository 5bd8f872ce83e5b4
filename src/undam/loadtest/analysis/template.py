"""Fast, exact recognition of events by pattern, without parsing their JSON. No I/O.

The events of a stream differ in few places: the text, a number, a random ID. Two events with the
same keys in the same order yield a pattern that accepts any unescaped string or any integer where
they differ. The pattern is used only if the API's reader gives the same meaning for every sample
value in each of these places. An event that matches the pattern then has that meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from undam.apis import Kind, Meaning
from undam.loadtest.analysis.content import NUMBER_KEY
from undam.loadtest.analysis.usage import NO_USAGE, is_reasoning, usage_of

# Tokens that can be variable: strings and integers. The names of object members are never variable,
# because another name can change the meaning of the event.
_TOKEN = re.compile(
    rb'"(?:[^"\\\x00-\x1f]|\\.)*"([ \t]*:)?'
    rb"|(?<![-+.\w])(?:0|[1-9][0-9]{0,18})(?![-+.\w])"
)
_STRING = rb'"[^"\\\x00-\x1f]+"'
_NUMBER = rb"(?:0|[1-9][0-9]{0,18})"
_STRING_SAMPLES = (b'"undam"', b'"0"', b'"\xc3\xa4 {[,:]}"')
_NUMBER_SAMPLES = (b"0", b"1", b"1987654321012345678")

_LEARNABLE = frozenset({Kind.CONTENT, Kind.EMPTY, Kind.FINISH, Kind.DONE, Kind.HEARTBEAT})
_BLOCK = re.compile(rb"((?:event: [^\r\n]*\n)?data: )([^\r\n]*)(\n\n)\Z")
_LINE = re.compile(rb"()(\{[^\r\n]*)(\n)\Z")
_MAX_BYTES = 4096
_MAX_TEMPLATES = 8
_MAX_FORMS = 64
# Without a limit, events that yield no valid pattern would be tried again and again.
_MAX_TRIALS = 500

Read = Callable[[str, str], Meaning]


@dataclass(slots=True, eq=False)
class EventTemplate:
    """A pattern, and the meaning of the events that match the pattern.

    Args:
        match: method of the compiled pattern.
        reasoning: whether the content is only reasoning.
        numbered: whether the first group of a match is the number of the event.
        stamped: whether that number is from a beacon.
        then: template of the event that followed last time; it is tried first.
    """

    match: Callable[[bytes, int], re.Match[bytes] | None]
    kind: Kind
    ends: bool
    tokens: int | None
    reasoning: bool = False
    numbered: bool = False
    stamped: bool = False
    then: EventTemplate | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """An event that is split into fixed parts and the possibly variable tokens between them."""

    name: str
    before: bytes
    fixed: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    after: bytes

    def data(self, tokens: tuple[bytes, ...]) -> str:
        pieces = [self.fixed[0]]
        for token, fixed in zip(tokens, self.fixed[1:], strict=True):
            pieces += [token, fixed]
        return b"".join(pieces).decode("utf-8", "replace")


class TemplateSet:
    """Templates learned from one API's events, shared by all streams of a worker."""

    def __init__(self, read: Read) -> None:
        self.known: list[EventTemplate] = []
        self._read = read
        self._seen: dict[tuple[object, ...], _Parts] = {}
        self._trials = 0

    def find(self, data: bytes, at: int) -> tuple[EventTemplate, re.Match[bytes]] | None:
        """Return the template that matches at position ``at``, and the match."""
        for template in self.known:
            if found := template.match(data, at):
                return template, found
        return None

    def learn(self, block: bytes, meaning: Meaning) -> None:
        """Learn from a parsed event; ``block`` includes the blank line at the end."""
        if (
            len(block) > _MAX_BYTES
            or meaning.kind not in _LEARNABLE
            or len(self.known) >= _MAX_TEMPLATES
            or self._trials >= _MAX_TRIALS
            or usage_of(meaning) != NO_USAGE
        ):
            return
        self._trials += 1
        parts = _parts(block)
        if parts is None or (not parts.tokens and meaning.kind is not Kind.DONE):
            return
        form = (parts.before, parts.fixed, meaning.kind)
        other = self._seen.get(form)
        if len(self._seen) < _MAX_FORMS or other is not None:
            self._seen[form] = parts
        if other is not None:
            self._try(parts, other, meaning)

    def _try(self, parts: _Parts, other: _Parts, meaning: Meaning) -> None:
        """Derive a template from two events with the same fixed parts; add it if it is valid."""
        key = _number_key(parts)
        variable = [
            a != b or index == key
            for index, (a, b) in enumerate(zip(parts.tokens, other.tokens, strict=True))
        ]
        pieces = [re.escape(parts.before), re.escape(parts.fixed[0])]
        rows = zip(variable, parts.tokens, other.tokens, parts.fixed[1:], strict=True)
        for index, (varies, token, other_token, fixed) in enumerate(rows):
            is_string = token[:1] == b'"'
            if varies and is_string != (other_token[:1] == b'"'):
                return
            pattern = _STRING if is_string else b"(%b)" % _NUMBER if index == key else _NUMBER
            pieces += [pattern if varies else re.escape(token), re.escape(fixed)]
        if not self._is_valid(parts, variable, meaning):
            return
        pattern = b"".join([*pieces, re.escape(parts.after)])
        template = EventTemplate(
            re.compile(pattern).match,
            meaning.kind,
            meaning.ends,
            meaning.tokens,
            is_reasoning(meaning),
            key is not None,
            key is not None and b"undam" in parts.fixed[key],
        )
        self.known.insert(0, template)

    def _is_valid(self, parts: _Parts, variable: list[bool], meaning: Meaning) -> bool:
        """Return whether the meaning of an event stays the same when variable tokens change.

        Sample values replace each variable token alone, and all of them together.
        """
        expected = _features(meaning)
        for sample in range(len(_STRING_SAMPLES)):
            replaced = tuple(
                _sample(token, sample) if varies else token
                for varies, token in zip(variable, parts.tokens, strict=True)
            )
            tries = [replaced] + [
                (*parts.tokens[:at], replaced[at], *parts.tokens[at + 1 :])
                for at, varies in enumerate(variable)
                if varies
            ]
            for tokens in tries:
                found = self._read(parts.name, parts.data(tokens))
                if _features(found) != expected:
                    return False
        return True


def _features(meaning: Meaning) -> tuple[object, ...]:
    return meaning.kind, meaning.ends, meaning.tokens, is_reasoning(meaning)


def _number_key(parts: _Parts) -> int | None:
    """Return the index of the token that contains the event's sequence number, if any.

    The number of a beacon takes precedence, as in `ContentCheck`.
    """
    found = [
        index
        for index, (fixed, token) in enumerate(zip(parts.fixed, parts.tokens, strict=False))
        if token[:1] != b'"' and NUMBER_KEY.search(fixed)
    ]
    stamps = [index for index in found if b"undam" in parts.fixed[index]]
    return next(iter(stamps or found), None)


def _sample(token: bytes, number: int) -> bytes:
    return (_STRING_SAMPLES if token[:1] == b'"' else _NUMBER_SAMPLES)[number]


def _parts(block: bytes) -> _Parts | None:
    """Split an event that has a JSON object as its only data line; ``None`` for other events."""
    match = _BLOCK.match(block) or _LINE.match(block)
    if match is None:
        return None
    before, json, after = match.groups()
    name = "message"
    if before.startswith(b"event: "):
        name = before[7 : before.index(b"\n")].decode("utf-8", "replace") or "message"
    fixed, tokens, at = [], [], 0
    for found in _TOKEN.finditer(json) if json[:1] == b"{" else ():
        if found[1] is None:
            fixed.append(json[at : found.start()])
            tokens.append(found[0])
            at = found.end()
    return _Parts(name, before, (*fixed, json[at:]), tuple(tokens), after)
