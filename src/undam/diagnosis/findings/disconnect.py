"""Whether the origin learns that its reader has left."""

from __future__ import annotations

from dataclasses import dataclass

from undam.rules import Finding, finding

# A hop that watches its client's socket passes the close on within 2 ms; half a second is not
# watching but waiting for the next write.
_SOON_MS = 500.0


@dataclass(frozen=True, slots=True)
class Leaving:
    """One stream that the client left.

    Args:
        when: "between tokens" or "in silence".
        seen_after_ms: when the origin saw it; ``None``: not while we asked.
        waited_ms: for how long we asked.
    """

    when: str
    seen_after_ms: float | None
    waited_ms: float


def find_leavings(hop: str, leavings: list[Leaving]) -> list[Finding]:
    """The moments at which leaving was not passed on at once."""
    late = [one for one in leavings if one.seen_after_ms is None or one.seen_after_ms > _SOON_MS]
    if not late:
        return []
    return [
        finding(
            "UD110",
            hop,
            seen="; ".join(_say(one) for one in late),
            left=[one.when for one in late],
        )
    ]


def _say(one: Leaving) -> str:
    if one.seen_after_ms is None:
        return f"{one.when}, not within {one.waited_ms / 1000:.0f} s"
    return f"{one.when}, only after {one.seen_after_ms / 1000:.1f} s"
