"""Findings about long idle periods and the form of heartbeats."""

from __future__ import annotations

from itertools import pairwise

from undam.apis import CHAT, COMPLETIONS, RESPONSES
from undam.diagnosis.hop import Hop
from undam.framing import Framing
from undam.rules import Finding, Fix, finding

# The shortest common idle timeout is 30 s (Traffic Server, Google's load balancer, CloudFront).
# WHATWG HTML 9.2.7 advises a comment about every 15 seconds.
_SILENCE_NS = 20_000_000_000

_MAX_SCANNED_BYTES = 4 << 20

_OPENAI_PYTHON = "openai-python and libraries built on it"

_SAFE = Fix("origin", "one comment line, `: ping` and a newline, in front of the next event")


def find_silences(hop: Hop) -> list[Finding]:
    """Return findings about idle timeouts, and about heartbeats that break clients."""
    return [*_find_long(hop), *_find_breaking_forms(hop)]


def _find_long(hop: Hop) -> list[Finding]:
    arrivals = hop.exchange.arrivals
    # The hop may also have held heartbeats.
    if not arrivals or hop.shape.held:
        return []
    found: list[Finding] = []
    before = arrivals[0].at_ns - hop.reading.sent_ns
    if before > _SILENCE_NS:
        found.append(finding("UD402", hop.name, silent_s=round(before / 1e9, 1)))
    longest = max((b.at_ns - a.at_ns for a, b in pairwise(arrivals)), default=0)
    if longest > _SILENCE_NS:
        found.append(finding("UD401", hop.name, silent_s=round(longest / 1e9, 1)))
    return found


def _find_breaking_forms(hop: Hop) -> list[Finding]:
    if hop.reading.framing is not Framing.SSE or hop.reading.api not in {
        CHAT,
        COMPLETIONS,
        RESPONSES,
    }:
        return []
    body = b"".join(arrival.data for arrival in hop.exchange.arrivals)[:_MAX_SCANNED_BYTES]
    return [
        finding("UD301", hop.name, fix=_SAFE, form=form, clients=_OPENAI_PYTHON)
        for form in breaking_forms(body)
    ]


def breaking_forms(body: bytes) -> list[str]:
    """Return the distinct forms of events that crash openai-python, in order of appearance."""
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf")
    forms: dict[str, None] = {}
    id_seen = False
    for block in text.split(b"\n\n")[:-1]:
        lines = [line for line in block.split(b"\n") if line]
        fields = {line.partition(b":")[0] for line in lines}
        form = _breaking_form(lines, fields, id_seen=id_seen)
        if form is not None:
            forms[form] = None
        id_seen = id_seen or b"id" in fields
    return list(forms)


def _breaking_form(lines: list[bytes], fields: set[bytes], *, id_seen: bool) -> str | None:
    if fields == {b""} and id_seen:
        return "a comment in a block of its own after an id"
    if b"retry" in fields and fields <= {b"retry", b""}:
        return "a block with only a retry line"
    if b"event" in fields and b"data" not in fields:
        return "a named event without data"
    data = [line.partition(b":")[2].strip() for line in lines if line.partition(b":")[0] == b"data"]
    if data and not any(data):
        return "an event with empty data"
    return None
