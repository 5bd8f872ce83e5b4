"""Findings about streams that may stay idle but must return a response head immediately."""

from __future__ import annotations

from dataclasses import dataclass

from undam.rules import Finding, Severity, finding

# Users notice a longer wait for the head, and the client cannot do anything else until the head
# arrives.
_LATE_HEAD_MS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingStream:
    """Observation of a standing stream.

    Args:
        head_ms: time from the request to the response head; ``None`` if it did not arrive.
        waited_s: time for which the head was awaited.
        offered: whether the server offers such a stream at all (MCP allows 405).
        observed_s: time for which the stream was observed after its head.
        events, comments, server_pings: messages, heartbeats and ping requests that arrived.
        ended_after_s: time after which the stream ended; ``None`` if it was still open.
        ended_cleanly: whether the body ended as its framing requires.
        ping_ms: time in which the server answered a ping of the client; ``None`` without answer.
        retry_ms: time after which the server asked the client to reconnect; ``None`` if it did not.
    """

    head_ms: float | None
    waited_s: float
    offered: bool = True
    observed_s: float = 0.0
    events: int = 0
    comments: int = 0
    server_pings: int = 0
    ended_after_s: float | None = None
    ended_cleanly: bool = False
    ping_ms: float | None = None
    has_session: bool = False
    retry_ms: int | None = None


def find_standing(hop: str, stream: StandingStream) -> list[Finding]:
    """Return the findings about a standing stream; an idle stream alone is not a finding."""
    if not stream.offered:
        return [finding("UD619", hop)]
    found: list[Finding] = []
    late = stream.head_ms is None or stream.head_ms > _LATE_HEAD_MS
    if late:
        after = "no head arrived" if stream.head_ms is None else "the head arrived"
        found.append(finding("UD618", hop, what=after, waited_s=round(stream.waited_s, 1)))
    if stream.ended_after_s is not None:
        how = "cleanly" if stream.ended_cleanly else "by a broken connection"
        # A server may close the stream on purpose and let the client poll.
        polls = stream.ended_cleanly and stream.retry_ms is not None
        if polls:
            how += f", and the server asked the client to reconnect after {stream.retry_ms} ms"
        severity = Severity.INFO if polls else None
        after_s = round(stream.ended_after_s, 1)
        found.append(finding("UD620", hop, severity=severity, after_s=after_s, how=how))
    return found
