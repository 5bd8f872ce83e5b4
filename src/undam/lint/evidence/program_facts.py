"""Update of a route's hop according to the diagnostics for the route."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from undam.lint.diagnostics import Diagnostic
from undam.lint.evidence.assessment import AssessedRoute


def with_facts(
    route: AssessedRoute,
    diagnostics: Iterable[Diagnostic],
    *,
    compressing: frozenset[str],
    buffering: frozenset[str],
    idle_limit_s: float | None = None,
) -> AssessedRoute:
    """Return a route whose hop is updated according to the diagnostics for the route.

    Args:
        compressing, buffering: codes of the rules about programs that compress or hold a stream.
        idle_limit_s: the idle timeout, if the program sets one.
    """
    assert route.hop is not None
    codes = {one.rule.code for one in diagnostics if one.route == route}
    hop = replace(
        route.hop,
        compresses=True if codes & compressing else route.hop.compresses,
        buffers=True if codes & (compressing | buffering) else route.hop.buffers,
        idle_limit_s=route.hop.idle_limit_s if idle_limit_s is None else idle_limit_s,
    )
    return replace(route, hop=hop)
