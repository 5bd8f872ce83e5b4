"""Findings about client disconnects that are not forwarded to the origin."""

from __future__ import annotations

from dataclasses import dataclass

from undam.rules import Finding, finding

# A hop that watches the client's socket forwards the close within 2 ms. Half a second means that
# the hop noticed the close only at its next write.
_SOON_MS = 500.0


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Stream whose client disconnected before the end.

    Args:
        when: "between tokens" or "in silence".
        seen_after_ms: delay until the origin noticed; ``None`` if it did not within ``waited_ms``.
        waited_ms: how long the origin was polled.
    """

    when: str
    seen_after_ms: float | None
    waited_ms: float


def find_disconnects(hop: str, disconnects: list[Disconnect]) -> list[Finding]:
    """Return a finding about the disconnects that were not forwarded at once."""
    late = [one for one in disconnects if one.seen_after_ms is None or one.seen_after_ms > _SOON_MS]
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


def _say(one: Disconnect) -> str:
    if one.seen_after_ms is None:
        return f"{one.when}, not within {one.waited_ms / 1000:.0f} s"
    return f"{one.when}, only after {one.seen_after_ms / 1000:.1f} s"
