"""Suspected causes of held streams, and fixes for findings, based on the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from undam.apis.meaning import mapping, sequence
from undam.diagnosis.hop import Hop
from undam.diagnosis.rhythm import Cause
from undam.diagnosis.shape import Release, by_cause
from undam.intermediaries import (
    HoldEvidence,
    Suspect,
    Trouble,
    fix_for,
    intermediary,
    rank_suspects,
    recognise,
    signatures_of,
    suspects_of_cut,
    unknown_via,
    versions_of,
)
from undam.intermediaries.habits import writers_of_text
from undam.intermediaries.head_facts import carries
from undam.record import Exchange, Head
from undam.rules import Finding, Fix, Verdict
from undam.timing.beacon import HEADER

_TROUBLES = {
    "UD101": Trouble.HOLD,
    "UD102": Trouble.HOLD,
    "UD103": Trouble.HOLD,
    "UD104": Trouble.ONE_LATE,
    "UD105": Trouble.HEADERS_HELD,
    "UD106": Trouble.COMPRESSION,
    "UD108": Trouble.CLOSE_DELIMITED,
    "UD109": Trouble.EATS_X_ACCEL,
    "UD110": Trouble.CANCEL,
    "UD111": Trouble.HOLD,
    "UD403": Trouble.IDLE_LIMIT,
    "UD404": Trouble.TOTAL_LIMIT,
    "UD405": Trouble.IDLE_LIMIT,
}
_HELD = {Trouble.HOLD, Trouble.ONE_LATE, Trouble.COMPRESSION}
_LIMITS = {Trouble.IDLE_LIMIT, Trouble.TOTAL_LIMIT}

_BROKEN_OFF = {"UD601", "UD602", "UD603", "UD605"}
# Bytes at the end of a body that are searched for an error text; such texts are short.
_TAIL_BYTES = 4096
# A content filter adds its fields to the first events.
_BEGINNING_BYTES = 32_768

_FLUSH_EACH_EVENT = "Write and flush each event immediately: no TCP_CORK, no flush by a timer."

_RELEASES: dict[Release | None, Literal["end", "size", "timer"]] = {
    Release.END: "end",
    Release.SIZE: "size",
    Release.UNCLEAR: "size",
    Release.TIMER: "timer",
}

_WHERE = {
    "application": "the application itself",
    "application-reader": "a reader in the application",
    "compression-middleware": "compression middleware of the application",
}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Results of follow-up requests to one place, which help to identify the cause of a hold.

    Args:
        uncompressed_streams: whether the same request without compression streamed.
        direct_streams: whether the same request without the forward proxy streamed.
    """

    uncompressed_streams: bool | None = None
    direct_streams: bool | None = None


NO_OUTCOMES: Mapping[str, Outcomes] = {}


def recognised_in(exchange: Exchange) -> tuple[str, ...]:
    """Return the intermediaries whose fingerprints are in the head, body or certificate."""
    if exchange.head is None:
        return ()
    return recognise(exchange.head, tls_issuer=exchange.tls_issuer, body=_beginning(exchange))


def with_known_filter(hop: Hop) -> Hop:
    """Return the hop with its hold attributed to a content filter, if one left its fingerprint.

    Bursts of whole events can be the steps of an engine. A filter that collects events signs them,
    so no experiment is needed.
    """
    if hop.shape.hold is None or not _collecting_filters(hop):
        return hop
    return replace(hop, shape=by_cause(hop.shape.hold, Cause.HOP))


def _collecting_filters(hop: Hop) -> list[str]:
    """Return the filters that signed the response and may hold events until they are checked."""
    filters = [name for name in hop.intermediaries if intermediary(name).kind == "filter"]
    return [name for name in filters if name not in _passing_filters(hop)]


def _passing_filters(hop: Hop) -> set[str]:
    """Return the filters whose results show that they check the text after it was sent.

    Azure then sends its results in chunks of their own, which have offsets but no delta.
    """
    choices = (
        mapping(choice)
        for item in hop.reading.items
        if item.meaning is not None
        for choice in sequence(mapping(item.meaning.payload).get("choices"))
    )
    is_passing = any("content_filter_offsets" in one and "delta" not in one for one in choices)
    return {"azure-openai-filter"} if is_passing else set()


def title_of(name: str) -> str:
    """Return the display name of a suspect."""
    return name if name.startswith("proxy ") else intermediary(name).title


def find_suspects(
    findings: Sequence[Finding], hops: Sequence[Hop], outcomes: Mapping[str, Outcomes] = NO_OUTCOMES
) -> dict[str, tuple[Suspect, ...]]:
    """Return the ranked suspects for each hop at which a hold begins, by hop name.

    A content filter that signed the body is also a suspect if the pattern of the stream proves
    nothing.

    Args:
        outcomes: results of follow-up requests, by the name of the hop.
    """
    found: dict[str, tuple[Suspect, ...]] = {}
    for one in findings:
        hop = next((hop for hop in hops if hop.name == one.hop), None)
        trouble = _TROUBLES.get(one.code)
        if hop is None or trouble not in {Trouble.HOLD, Trouble.ONE_LATE} or one.hop in found:
            continue
        found[one.hop] = rank_suspects(_evidence(hop, hops, outcomes), trouble)
    for hop in hops:
        filters = _collecting_filters(hop)
        in_bursts = hop.shape.verdict is Verdict.UNKNOWN and "every_ms" in hop.shape.evidence
        if hop.name not in found and filters and in_bursts:
            ranked = rank_suspects(_evidence(hop, hops, outcomes))
            found[hop.name] = tuple(one for one in ranked if one.name in filters)
    return {name: suspects for name, suspects in found.items() if suspects}


def with_fixes(
    findings: Sequence[Finding], hops: Sequence[Hop], outcomes: Mapping[str, Outcomes] = NO_OUTCOMES
) -> list[Finding]:
    """Return the findings, each with a fix if one is known.

    The fix of a hold is that of its first suspect that has one. If that suspect did not sign the
    response, the fix has the note "if that is in the path". The server itself is a suspect if no
    hop closer to the model was measured. A fix that the response already carries is not offered.
    """
    return [
        one if one.fix is not None else replace(one, fix=_fix(one, hops, outcomes))
        for one in findings
    ]


def _fix(found: Finding, hops: Sequence[Hop], outcomes: Mapping[str, Outcomes]) -> Fix | None:
    trouble = _TROUBLES.get(found.code)
    hop = next((hop for hop in hops if hop.name == found.hop), None)
    if hop is not None and found.code in _BROKEN_OFF:
        return _fix_of_writer(hop)
    if trouble is None or hop is None:
        return None
    if trouble in _HELD:
        return _fix_of_hold(hop, hops, trouble, outcomes)
    own, further_in = _signed(hop, hops)
    head = hop.exchange.head
    fix = fix_for(own or further_in, trouble, versions_of(head) if head else None)
    if fix is not None and not carries(head, fix.text):
        return fix
    limit_s = found.evidence.get("limit_s")
    if trouble in _LIMITS and isinstance(limit_s, int | float):
        for name in suspects_of_cut(float(limit_s), total=trouble is Trouble.TOTAL_LIMIT):
            if guess := intermediary(name).fixes.get(trouble):
                return Fix(f"{name}, if that is in the path", guess.text)
    return None


def _fix_of_hold(
    hop: Hop, hops: Sequence[Hop], trouble: Trouble, outcomes: Mapping[str, Outcomes]
) -> Fix | None:
    evidence = _evidence(hop, hops, outcomes)
    suspects = [one for one in rank_suspects(evidence, trouble) if one.fix is not None]
    by_server = evidence.release == "timer" and evidence.innermost and trouble is Trouble.HOLD
    if by_server and not hop.exact and (not suspects or _is_server(suspects[0])):
        return _fix_of_server(hop, suspects)
    if not suspects:
        return None
    first = suspects[0]
    assert first.fix is not None
    text = first.fix.text
    if by_server and not hop.exact and not first.signed:
        text += f"\n# or, without a proxy, the server itself: {_FLUSH_EACH_EVENT}"
    if first.signed or first.name.startswith("proxy "):
        return Fix(first.fix.where, text)
    return Fix(_WHERE.get(first.name, f"{first.name}, if that is in the path"), text)


def _is_server(suspect: Suspect) -> bool:
    return suspect.name == "application" or (
        not suspect.name.startswith("proxy ") and intermediary(suspect.name).kind == "server"
    )


def _fix_of_server(hop: Hop, suspects: Sequence[Suspect]) -> Fix:
    """Return the fix for a server that buffers its own events until a timer expires."""
    head = hop.exchange.head
    signed = (head.get("server") if head else None) or ""
    where = f"the server itself (Server: {signed[:60]})" if signed else "the server itself"
    lines = [_FLUSH_EACH_EVENT]
    for one in suspects:
        if one.name != "application" and _is_server(one) and one.fix is not None:
            where = f"{where}, for instance {one.name}"
            lines.append(f"{one.name}: {one.fix.text}")
    return Fix(where, "\n".join(lines))


def _fix_of_writer(hop: Hop) -> Fix | None:
    """Return the fix for an intermediary that ended a broken stream with its error text."""
    tail = b""
    for arrival in reversed(hop.exchange.arrivals):
        tail = arrival.data + tail
        if len(tail) >= _TAIL_BYTES:
            break
    return fix_for(writers_of_text(tail[-_TAIL_BYTES:]), Trouble.HIDES_CUT)


def _signed(hop: Hop, hops: Sequence[Hop]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return intermediaries recognised only at this hop, and those also found at an inner hop."""
    index = next(i for i, one in enumerate(hops) if one.name == hop.name)
    if index + 1 == len(hops):
        return hop.intermediaries, ()
    inner = hops[index + 1].intermediaries
    own = tuple(name for name in hop.intermediaries if name not in inner)
    return own, tuple(name for name in hop.intermediaries if name in inner)


def _inner_head(hop: Hop, hops: Sequence[Hop]) -> Head | None:
    index = next(i for i, one in enumerate(hops) if one.name == hop.name)
    return hops[index + 1].exchange.head if index + 1 < len(hops) else None


def _evidence(hop: Hop, hops: Sequence[Hop], outcomes: Mapping[str, Outcomes]) -> HoldEvidence:
    exchange, head = hop.exchange, hop.exchange.head
    passing = _passing_filters(hop)
    own, further_in = (
        tuple(name for name in names if name not in passing) for names in _signed(hop, hops)
    )
    results = outcomes.get(hop.name, Outcomes())
    signatures: dict[str, str] = {}
    unknown: tuple[str, ...] = ()
    if head is not None:
        inner = _inner_head(hop, hops)
        further = unknown_via(inner) if inner is not None else ()
        unknown = tuple(element for element in unknown_via(head) if element not in further)
        signatures = signatures_of(head, tls_issuer=exchange.tls_issuer, body=_beginning(exchange))
    return HoldEvidence(
        head=head,
        release=_RELEASES.get(hop.shape.release),
        block_bytes=hop.shape.release_bytes,
        timer_ms=hop.shape.period_ms,
        signed=own,
        further_in=further_in,
        signatures=signatures,
        versions=versions_of(head) if head else {},
        unknown=unknown,
        innermost=hop.name == hops[-1].name,
        server_flushes=hop.exact and hop.name == hops[-1].name and not _was_rebuilt(hop),
        uncompressed_streams=results.uncompressed_streams,
        proxy=exchange.proxy,
        direct_streams=results.direct_streams,
        is_tls=exchange.url.startswith("https:"),
    )


def _was_rebuilt(hop: Hop) -> bool:
    """Return whether an application built this response from the text of the beacon's answer."""
    head = hop.exchange.head
    has_beacon_head = head is not None and head.get(HEADER) is not None
    return hop.integrity.evidence == "numbered-text" and not has_beacon_head


def _beginning(exchange: Exchange) -> bytes:
    """Return the beginning of the decoded body."""
    beginning = bytearray()
    for arrival in exchange.arrivals:
        beginning += arrival.data
        if len(beginning) >= _BEGINNING_BYTES:
            break
    return bytes(beginning[:_BEGINNING_BYTES])
