"""Analysis of synthetic exchanges in one call: findings and hops."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from support.synthetic_streams import (
    SSE_HEAD,
    Write,
    answer,
    chat_event,
    even_schedule,
    exchange,
)
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.record import Ending, Exchange, Head
from undam.rules import Finding

Findings = Sequence[Finding]

DUE = even_schedule(25, 120)
SHORT = answer(even_schedule(25, 20))
END = chat_event("", finish=True) + b"data: [DONE]\n\n"


def diagnose(
    *exchanges: Exchange, offset: ClockOffset | None = None, intermediaries: tuple[str, ...] = ()
) -> Findings:
    """Return all findings for a path, given the exchange at each hop.

    Args:
        exchanges: one per hop, outermost first.
        intermediaries: products that each response head identifies.
    """
    return find_findings(
        analyze_hops(*exchanges, offset=offset, intermediaries=intermediaries), offset
    )


def analyze_hops(
    *exchanges: Exchange, offset: ClockOffset | None = None, intermediaries: tuple[str, ...] = ()
) -> list[Hop]:
    """Return the analyzed hops on a path, for the same arguments as ``diagnose``."""
    hops: list[Hop] = []
    for one in reversed(exchanges):
        reading, inner = read_exchange(one), hops[0] if hops else None
        hops.insert(
            0, analyze_hop([reading], inner=inner, offset=offset, intermediaries=intermediaries)
        )
    return hops


def through(model: object, due: Sequence[float] = DUE, **more: object) -> Exchange:
    """Return a chat response received through a hop that behaves like ``model``."""
    assert callable(model)
    return exchange(model(answer(due), due[-1]), **more)  # type: ignore[arg-type]


def head_with(*changes: tuple[str, str | None], version: str = "1.1", status: int = 200) -> Head:
    """Return the default response head with some headers replaced; ``None`` removes a header."""
    gone = {name.lower() for name, _ in changes}
    kept = tuple(pair for pair in SSE_HEAD.headers if pair[0].lower() not in gone)
    added = tuple((name, value) for name, value in changes if value is not None)
    return Head(status, version, kept + added)


def findings_with_head(*changes: tuple[str, str | None], version: str = "1.1") -> Findings:
    """Return the findings for a short unbuffered stream with changed response headers."""
    return diagnose(exchange(SHORT, head=head_with(*changes, version=version)))


def findings_of_broken_stream(
    at_ms: float, ending: Ending, *, events: int = 400, **more: object
) -> Findings:
    """Return the findings for a stream that is cut at ``at_ms``."""
    due = even_schedule((at_ms - 300) / events, events)
    writes = answer(due)[:-1]
    given = exchange(writes, ending=ending, ended_ms=at_ms)
    return diagnose(given, **more)  # type: ignore[arg-type]


def findings_in_body(
    body: bytes, *, api: str = "openai-chat", ending: Ending = Ending.COMPLETE
) -> Findings:
    """Return the findings for a response body that arrives in one read."""
    return diagnose(exchange([Write(300, body)], api=api, ending=ending))


def findings_for_event_size(chars: int, tokens: int | None = None) -> Findings:
    """Return the findings for a stream with ``chars`` characters per event and token usage."""
    writes = answer(even_schedule(25, 20), ["x" * chars] * 20)
    if tokens is not None:
        usage = {"choices": [], "usage": {"completion_tokens": tokens}}
        writes.insert(-1, Write(writes[-1].at_ms, b"data: %s\n\n" % json.dumps(usage).encode()))
    return diagnose(exchange(writes))


def sse(*payloads: Mapping[str, object]) -> bytes:
    """Return JSON payloads as an event stream."""
    return b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in payloads)


def codes(found: Findings) -> set[str]:
    """Return the code of each finding."""
    return {one.code for one in found}
