"""Events recognised by their form, without reading their JSON. Pure, and never a guess.

The events of a stream differ in few places: the text, a number, a random string. From two events
with the same keys in the same order a pattern is made that has holes where they differ: for
strings without escapes, and for whole numbers. It is kept only if the API reads every way of
filling the holes as the same thing. An event that fits the pattern is then what they were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from undam.apis import Kind, Meaning

# Names of an object's members are no holes: another name may mean anything.
_TOKEN = re.compile(
    rb'"(?:[^"\\\x00-\x1f]|\\.)*"([ \t]*:)?'
    rb"|(?<![-+.\w])(?:0|[1-9][0-9]{0,18})(?![-+.\w])"
)
_STRING_HOLE = rb'"[^"\\\x00-\x1f]+"'
_NUMBER_HOLE = rb"(?:0|[1-9][0-9]{0,18})"
_STRING_FILLINGS = (b'"undam"', b'"0"', b'"\xc3\xa4 {[,:]}"')
_NUMBER_FILLINGS = (b"0", b"1", b"1987654321012345678")

_LEARNABLE = frozenset({Kind.CONTENT, Kind.EMPTY, Kind.FINISH, Kind.DONE, Kind.HEARTBEAT})
_BLOCK = re.compile(rb"((?:event: [^\r\n]*\n)?data: )([^\r\n]*)(\n\n)\Z")
_LINE = re.compile(rb"()(\{[^\r\n]*)(\n)\Z")
_MOST_BYTES = 4096
_MOST_TEMPLATES = 8
_MOST_FORMS = 64
# Events that always differ in a way that matters would be tried for ever.
_MOST_TRIALS = 500

Read = Callable[[str, str], Meaning]


@dataclass(slots=True, eq=False)
class EventTemplate:
    """A pattern and what its events mean.

    Args:
        match: of the compiled pattern.
        then: the template that the next event had, the last time.
    """

    match: Callable[[bytes, int], re.Match[bytes] | None]
    kind: Kind
    ends: bool
    tokens: int | None
    then: EventTemplate | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """A block as what is fixed and what may be a hole, in turn."""

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
    """What has been learnt of one API's events, for all streams of a worker."""

    def __init__(self, read: Read) -> None:
        self.known: list[EventTemplate] = []
        self._read = read
        self._seen: dict[tuple[object, ...], _Parts] = {}
        self._trials = 0

    def find(self, data: bytes, at: int) -> tuple[EventTemplate, int] | None:
        """The template that fits at ``at``, and where its event ends."""
        for template in self.known:
            if found := template.match(data, at):
                return template, found.end()
        return None

    def learn(self, block: bytes, meaning: Meaning) -> None:
        """Take note of an event that was read in full; ``block`` is it with its blank line."""
        if (
            len(block) > _MOST_BYTES
            or meaning.kind not in _LEARNABLE
            or len(self.known) >= _MOST_TEMPLATES
            or self._trials >= _MOST_TRIALS
        ):
            return
        self._trials += 1
        parts = _parts(block)
        if parts is None or (not parts.tokens and meaning.kind is not Kind.DONE):
            return
        form = (parts.before, parts.fixed, meaning.kind)
        other = self._seen.get(form)
        if len(self._seen) < _MOST_FORMS or other is not None:
            self._seen[form] = parts
        if other is not None:
            self._try(parts, other, meaning)

    def _try(self, parts: _Parts, other: _Parts, meaning: Meaning) -> None:
        holes = [a != b for a, b in zip(parts.tokens, other.tokens, strict=True)]
        pieces = [re.escape(parts.before), re.escape(parts.fixed[0])]
        rows = zip(holes, parts.tokens, other.tokens, parts.fixed[1:], strict=True)
        for hole, token, twin, fixed in rows:
            is_text = token[:1] == b'"'
            if hole and is_text != (twin[:1] == b'"'):
                return
            pattern = _STRING_HOLE if is_text else _NUMBER_HOLE
            pieces += [pattern if hole else re.escape(token), re.escape(fixed)]
        if not self._holds(parts, holes, meaning):
            return
        pattern = b"".join([*pieces, re.escape(parts.after)])
        template = EventTemplate(
            re.compile(pattern).match, meaning.kind, meaning.ends, meaning.tokens
        )
        self.known.insert(0, template)

    def _holds(self, parts: _Parts, holes: list[bool], meaning: Meaning) -> bool:
        """Whether the holes may be filled in any way, one by one and all together."""
        said = (meaning.kind, meaning.ends, meaning.tokens)
        for filling in range(len(_STRING_FILLINGS)):
            filled = tuple(
                _filling(token, filling) if hole else token
                for hole, token in zip(holes, parts.tokens, strict=True)
            )
            tries = [filled] + [
                (*parts.tokens[:at], filled[at], *parts.tokens[at + 1 :])
                for at, hole in enumerate(holes)
                if hole
            ]
            for tokens in tries:
                found = self._read(parts.name, parts.data(tokens))
                if (found.kind, found.ends, found.tokens) != said:
                    return False
        return True


def _filling(token: bytes, number: int) -> bytes:
    return (_STRING_FILLINGS if token[:1] == b'"' else _NUMBER_FILLINGS)[number]


def _parts(block: bytes) -> _Parts | None:
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
