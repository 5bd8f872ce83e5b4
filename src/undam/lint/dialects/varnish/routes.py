"""The VCL statements that apply to event streams."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.varnish.parser import (
    VclBackend,
    VclCondition,
    VclFile,
    VclStatement,
)
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    RouteOutcome,
    assess_pattern,
    assess_route,
)
from undam.textfiles.tokens import Token

EVENT_STREAM = "text/event-stream"

_URL = frozenset({"req.url", "bereq.url"})
_TYPE = "beresp.http.content-type"
# Conditions on these variables do not restrict the response type.
_NEUTRAL = frozenset({"req.http.host", "bereq.http.host", "req.method", "bereq.method"})
_COMPARES = {"~": True, "==": True, "!~": False, "!=": False}
_HINTS = (("req.backend_hint",), ("bereq.backend",))
# Limits on the number and depth of calls to user-defined subroutines.
_MAX_CALLS = 16
_MAX_CALL_DEPTH = 4


@dataclass(frozen=True, slots=True)
class VclRequirements:
    """The requirements that the conditions around a statement place on a request or response.

    Args:
        paths: patterns, one of which must match.
        not_paths: patterns that must not match.
        names_events: text/event-stream occurs in a condition, included or excluded.
        no_events: event streams are excluded.
        other: there is another requirement, which a stream may not fulfil.
    """

    paths: tuple[tuple[str, PathMatch], ...] = ()
    not_paths: tuple[tuple[str, PathMatch], ...] = ()
    names_events: bool = False
    no_events: bool = False
    other: bool = False


class VclRoutes:
    """Analysis of the VCL statements and backends that streams use.

    Args:
        least: routes with a less certain outcome do not count as streams.
    """

    def __init__(self, vcl: VclFile, hints: RouteHints, least: RouteOutcome) -> None:
        self._vcl = vcl
        self._hints = hints
        self._least = least
        self._upstreams = [text for one in vcl.backends for text in _names(one)]
        self._calls: dict[str, list[VclStatement]] = {}
        for one in vcl.statements:
            if one.texts[0] == "call" and len(one.tokens) > 1:
                self._calls.setdefault(one.texts[1], []).append(one)
        self._requirements = {one: list(self._contexts(one)) for one in vcl.statements}
        self._hints = self._without_pipes()
        self.streams_pass = self._do_streams_pass()

    def applies(self, statement: VclStatement) -> bool:
        """Return whether the statement definitely applies to a stream."""
        return any(self._satisfies(required) for required in self._requirements[statement])

    def may_apply(self, statement: VclStatement) -> bool:
        """Return whether the statement may apply to a stream, if an unknown condition is true."""
        return self.streams_pass and any(
            required.other and not required.no_events for required in self._requirements[statement]
        )

    def applies_to_streams_only(self, statement: VclStatement) -> bool:
        """Return whether the path conditions limit the statement to streams."""
        return all(
            bool(required.paths) and all(self._streams(*path) for path in required.paths)
            for required in self._requirements[statement]
        )

    def streams_through(self, backend: VclBackend) -> bool:
        """Return whether a backend sends streams."""
        if len(self._vcl.backends) == 1:
            return self.streams_pass
        chosen = [
            required
            for one in self._vcl.statements
            if one.texts[-1] == backend.name and one.texts[1:2] in _HINTS
            for required in self._requirements[one]
        ]
        if any(
            self._satisfies(required) and (required.paths or self._hints.paths)
            for required in chosen
        ):
            return True
        if self._hints.paths and self.streams_pass:
            return not chosen and backend is self._default()
        return (
            assess_route("/", _names(backend), self._hints).outcome >= self._least
            and self.streams_pass
        )

    def _default(self) -> VclBackend:
        names_events = [one for one in self._vcl.backends if one.name == "default"]
        return (names_events or self._vcl.backends)[0]

    def _without_pipes(self) -> RouteHints:
        """Return the hints without those whose requests are piped.

        If none is left, the result is a path that no request has.
        """
        piped = [required for one in self._pipes() for required in self._requirements[one]]
        left = [
            hint
            for hint in self._hints.paths
            if not any(
                assess_pattern(path, match, (), RouteHints((hint,))).is_considered
                for required in piped
                for path, match in required.paths or (("/", PathMatch.PREFIX),)
            )
        ]
        return RouteHints(tuple(left) or ("\0",)) if self._hints.paths else self._hints

    def _pipes(self) -> Iterator[VclStatement]:
        for one in self._vcl.statements:
            if one.texts[0] == "return" and "pipe" in one.texts:
                yield one

    def _do_streams_pass(self) -> bool:
        """Return whether streams pass through Varnish without being piped."""
        if self._hints.paths:
            return self._hints.paths != ("\0",)
        piped = [required for one in self._pipes() for required in self._requirements[one]]
        if any(not required.paths or self._on_path(required) for required in piped):
            return False
        if assess_route("/", self._upstreams, self._hints).outcome >= self._least:
            return True
        return any(
            required.names_events
            or any(self._outcome(*path) >= self._least for path in required.paths)
            or any(self._outcome(*path) >= self._least for path in required.not_paths)
            for contexts in self._requirements.values()
            for required in contexts
        )

    def _satisfies(self, required: VclRequirements) -> bool:
        if required.no_events or required.other or not self.streams_pass:
            return False
        if required.paths:
            return self._on_path(required)
        return not any(self._streams(*path) for path in required.not_paths)

    def _on_path(self, required: VclRequirements) -> bool:
        return any(self._streams(*path) for path in required.paths)

    def _streams(self, pattern: str, match: PathMatch) -> bool:
        return self._outcome(pattern, match) is not RouteOutcome.UNKNOWN

    def _outcome(self, pattern: str, match: PathMatch) -> RouteOutcome:
        return assess_pattern(pattern, match, (), self._hints).outcome

    def _contexts(self, statement: VclStatement) -> Iterator[VclRequirements]:
        """Yield the requirements for each call chain that leads to a statement."""
        paths_of_calls = [(statement.sub, statement.conditions)]
        for _ in range(_MAX_CALL_DEPTH):
            paths_of_calls = [
                (call.sub, (*call.conditions, *conditions)) if call else (sub, conditions)
                for sub, conditions in paths_of_calls[:_MAX_CALLS]
                for call in self._callers(sub)
            ]
        for sub, conditions in paths_of_calls:
            if sub.startswith("vcl_"):
                yield read_conditions(conditions)

    def _callers(self, sub: str) -> list[VclStatement] | list[None]:
        """Return the calls to a subroutine; ``[None]`` if Varnish itself calls the subroutine."""
        return [None] if sub.startswith("vcl_") else self._calls.get(sub, [])


def _names(backend: VclBackend) -> list[str]:
    host = backend.attributes.get(".host")
    port = backend.attributes.get(".port")
    return [
        backend.name,
        f"{host.text if host else ''}{':' + port.text if port else ''}",
    ]


def read_conditions(conditions: tuple[VclCondition, ...]) -> VclRequirements:
    """Combine all conditions around a statement into one set of requirements."""
    paths: list[tuple[str, PathMatch]] = []
    not_paths: list[tuple[str, PathMatch]] = []
    names_events = no_events = other = False
    for condition in conditions:
        types: list[tuple[bool, bool]] = []
        for name, holds, operator, value in _comparisons(condition):
            if name in _URL:
                match = PathMatch.REGEX if "~" in operator else PathMatch.PREFIX
                (paths if holds else not_paths).append((value, match))
            elif name == _TYPE:
                names_events |= "event-stream" in value.lower()
                types.append((holds, _has_events(value)))
            elif name not in _NEUTRAL:
                # Negated conditions are ignored, because they are assumed to exclude few responses.
                other |= condition.holds
        no_events |= _leaves_out_events(types)
    return VclRequirements(tuple(paths), tuple(not_paths), names_events, no_events, other)


def _leaves_out_events(types: list[tuple[bool, bool]]) -> bool:
    """Return whether the Content-Type tests in one condition exclude event streams.

    Args:
        types: for each test, whether it must match, and whether text/event-stream matches it.
    """
    if (False, True) in types:
        return True
    return (True, False) in types and (True, True) not in types


def _comparisons(condition: VclCondition) -> Iterator[tuple[str, bool, str, str]]:
    """Yield ``(variable, must match, operator, value)`` for each test in a condition."""
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
        return f"{name}?", holds, "", ""  # this kind of test is not evaluated
    return name, holds is _COMPARES[behind[0].text], behind[0].text, behind[1].text


def _has_events(pattern: str) -> bool:
    """Return whether a pattern of words, groups and ``|`` matches text/event-stream."""
    words = re.split(r"[()|^$]+", pattern.lower().replace("\\", "").replace("(?i)", ""))
    alternatives = [word for word in words if word]
    # For ^text/(html|css)$, "text/" alone would match, so it is joined with each alternative.
    if re.search(r"\w/?\(", pattern) and len(alternatives) > 1:
        return any(EVENT_STREAM.startswith(alternatives[0] + word) for word in alternatives[1:])
    return any(word in EVENT_STREAM for word in alternatives)
