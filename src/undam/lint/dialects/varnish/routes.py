"""Which statements of VCL an event stream meets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.varnish.reader import Backend, Condition, Statement, Token, Vcl
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    StreamLikelihood,
    classify_pattern,
    classify_route,
)

EVENT_STREAM = "text/event-stream"

_URL = frozenset({"req.url", "bereq.url"})
_TYPE = "beresp.http.content-type"
# They say nothing of whether what passes is a stream.
_NEUTRAL = frozenset({"req.http.host", "bereq.http.host", "req.method", "bereq.method"})
_COMPARES = {"~": True, "==": True, "!~": False, "!=": False}
_HINTS = (("req.backend_hint",), ("bereq.backend",))
# Calls of a sub of one's own that are followed, and how deep.
_CALLS = 16
_DEEP = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What the conditions around a statement ask for.

    Args:
        paths: patterns of which one must match.
        not_paths: patterns that must not match.
        named: text/event-stream is named, whether it is asked for or left out.
        no_events: event streams are left out.
        other: something else is asked for that a stream may not have.
    """

    paths: tuple[tuple[str, PathMatch], ...] = ()
    not_paths: tuple[tuple[str, PathMatch], ...] = ()
    named: bool = False
    no_events: bool = False
    other: bool = False


class Routes:
    """What streams in a VCL."""

    def __init__(self, vcl: Vcl, hints: RouteHints) -> None:
        self._vcl = vcl
        self._hints = hints
        self._upstreams = [text for one in vcl.backends for text in _names(one)]
        self._calls: dict[str, list[Statement]] = {}
        for one in vcl.statements:
            if one.texts[0] == "call" and len(one.tokens) > 1:
                self._calls.setdefault(one.texts[1], []).append(one)
        self._asked = {one: list(self._contexts(one)) for one in vcl.statements}
        self._hints = self._without_pipes()
        self._any = self._is_any()

    def meets(self, statement: Statement) -> bool:
        """Whether a stream meets the statement for sure."""
        return any(self._meets(asked) for asked in self._asked[statement])

    def may_meet(self, statement: Statement) -> bool:
        """Whether it is unknown if one does: something is asked for that was not understood."""
        return self._any and any(
            asked.other and not asked.no_events for asked in self._asked[statement]
        )

    def is_own(self, statement: Statement) -> bool:
        """Whether only streams meet it: their paths or their type are asked for."""
        return all(
            bool(asked.paths) and all(self._streams(*path) for path in asked.paths)
            for asked in self._asked[statement]
        )

    def streams_through(self, backend: Backend) -> bool:
        """Whether streams come from a backend."""
        if len(self._vcl.backends) == 1:
            return self._any
        chosen = [
            asked
            for one in self._vcl.statements
            if one.texts[-1] == backend.name and one.texts[1:2] in _HINTS
            for asked in self._asked[one]
        ]
        if any(self._meets(asked) and (asked.paths or self._hints.paths) for asked in chosen):
            return True
        if self._hints.paths and self._any:
            return not chosen and backend is self._default()
        return (
            classify_route("/", _names(backend), self._hints) is not StreamLikelihood.NO
            and self._any
        )

    def _default(self) -> Backend:
        named = [one for one in self._vcl.backends if one.name == "default"]
        return (named or self._vcl.backends)[0]

    def _without_pipes(self) -> RouteHints:
        """The hints without those whose requests are piped; none left is told by a path that no
        request has."""
        piped = [asked for one in self._pipes() for asked in self._asked[one]]
        left = [
            hint
            for hint in self._hints.paths
            if not any(
                classify_pattern(path, match, (), RouteHints((hint,))) is not StreamLikelihood.NO
                for asked in piped
                for path, match in asked.paths or (("/", PathMatch.PREFIX),)
            )
        ]
        return RouteHints(tuple(left) or ("\0",)) if self._hints.paths else self._hints

    def _pipes(self) -> Iterator[Statement]:
        for one in self._vcl.statements:
            if one.texts[0] == "return" and "pipe" in one.texts:
                yield one

    def _is_any(self) -> bool:
        """Whether streams pass this Varnish at all, other than through a pipe."""
        if self._hints.paths:
            return self._hints.paths != ("\0",)
        piped = [asked for one in self._pipes() for asked in self._asked[one]]
        if any(not asked.paths or self._on_path(asked) for asked in piped):
            return False
        if classify_route("/", self._upstreams, self._hints) is not StreamLikelihood.NO:
            return True
        return any(
            asked.named or any(self._streams(*path) for path in (*asked.paths, *asked.not_paths))
            for contexts in self._asked.values()
            for asked in contexts
        )

    def _meets(self, asked: Asked) -> bool:
        if asked.no_events or asked.other or not self._any:
            return False
        if asked.paths:
            return self._on_path(asked)
        return not any(self._streams(*path) for path in asked.not_paths)

    def _on_path(self, asked: Asked) -> bool:
        return any(self._streams(*path) for path in asked.paths)

    def _streams(self, pattern: str, match: PathMatch) -> bool:
        return classify_pattern(pattern, match, (), self._hints) is not StreamLikelihood.NO

    def _contexts(self, statement: Statement) -> Iterator[Asked]:
        """What is asked for on each way to a statement, through the calls of its sub."""
        ways = [(statement.sub, statement.conditions)]
        for _ in range(_DEEP):
            ways = [
                (call.sub, (*call.conditions, *conditions)) if call else (sub, conditions)
                for sub, conditions in ways[:_CALLS]
                for call in self._callers(sub)
            ]
        for sub, conditions in ways:
            if sub.startswith("vcl_"):
                yield read_conditions(conditions)

    def _callers(self, sub: str) -> list[Statement] | list[None]:
        """Where a sub is called; ``[None]`` for one that Varnish calls."""
        return [None] if sub.startswith("vcl_") else self._calls.get(sub, [])


def _names(backend: Backend) -> list[str]:
    host = backend.attributes.get(".host")
    port = backend.attributes.get(".port")
    return [
        backend.name,
        f"{host.text if host else ''}{':' + port.text if port else ''}",
    ]


def read_conditions(conditions: tuple[Condition, ...]) -> Asked:
    """All conditions around a statement as one."""
    paths: list[tuple[str, PathMatch]] = []
    not_paths: list[tuple[str, PathMatch]] = []
    named = no_events = other = False
    for condition in conditions:
        types: list[tuple[bool, bool]] = []
        for name, holds, operator, value in _comparisons(condition):
            if name in _URL:
                match = PathMatch.REGEX if "~" in operator else PathMatch.PREFIX
                (paths if holds else not_paths).append((value, match))
            elif name == _TYPE:
                named |= "event-stream" in value.lower()
                types.append((holds, _has_events(value)))
            elif name not in _NEUTRAL:
                # What an else denies is no more than one way out of many.
                other |= condition.holds
        no_events |= _leaves_out_events(types)
    return Asked(tuple(paths), tuple(not_paths), named, no_events, other)


def _leaves_out_events(types: list[tuple[bool, bool]]) -> bool:
    """Whether the tests on Content-Type in one condition do, each given as (whether it must match,
    whether event streams do): one denies them, or others are asked for and they are not."""
    if (False, True) in types:
        return True
    return (True, False) in types and (True, True) not in types


def _comparisons(condition: Condition) -> Iterator[tuple[str, bool, str, str]]:
    """(variable, whether it must match, operator, value) of each test in a condition."""
    tokens = condition.tokens
    brackets = [condition.holds]
    for at, token in enumerate(tokens):
        denied = at > 0 and tokens[at - 1].text == "!" and tokens[at - 1].kind == "op"
        if token.kind == "op" and token.text == "(":
            brackets.append(brackets[-1] is not denied)
        elif token.kind == "op" and token.text == ")":
            brackets.pop()
        elif token.kind == "name":
            yield _comparison(tokens, at, brackets[-1] is not denied)


def _comparison(tokens: tuple[Token, ...], at: int, holds: bool) -> tuple[str, bool, str, str]:
    behind = tokens[at + 1 : at + 3]
    name = tokens[at].text.lower()
    if len(behind) < 2 or behind[0].text not in _COMPARES or behind[1].kind != "string":
        return f"{name}?", holds, "", ""  # another test than those that are understood
    return name, holds is _COMPARES[behind[0].text], behind[0].text, behind[1].text


def _has_events(pattern: str) -> bool:
    """Whether text/event-stream matches; only words, brackets and bars are understood."""
    words = re.split(r"[()|^$]+", pattern.lower().replace("\\", "").replace("(?i)", ""))
    told = [word for word in words if word]
    # ^text/(html|css)$ has a part that alone would match.
    if re.search(r"\w/?\(", pattern) and len(told) > 1:
        return any(EVENT_STREAM.startswith(told[0] + word) for word in told[1:])
    return any(word in EVENT_STREAM for word in told)
