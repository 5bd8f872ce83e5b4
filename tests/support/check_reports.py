"""Check reports on synthetic streams."""

from __future__ import annotations

from support.synthetic_streams import SSE_HEAD, HopModel, Write, answer, exchange, pass_through
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.intermediaries import recognise
from undam.probe import Report
from undam.probe.remedies import find_suspects, with_fixes
from undam.record import Head

DUE = [200.0 + 25 * i for i in range(80)]


def hop(
    name: str = "edge",
    model: HopModel | None = None,
    *,
    server: str = "",
    inner: Hop | None = None,
    offset: ClockOffset | None = None,
) -> Hop:
    """Return the analysis of a stream of 80 tokens, 25 ms apart, received through a hop.

    Args:
        model: how the hop delays data; ``None`` forwards it at once.
        server: value of its ``Server`` header.
        offset: clock offset of a beacon; ``None`` without beacon.
    """
    head = SSE_HEAD
    if server:
        head = Head(200, "1.1", (*SSE_HEAD.headers, ("Server", server)))
    sent = answer(DUE, stamped=offset is not None)
    arrived = [Write(s.at_ms + 0.1, s.data) for s in (model or pass_through())(sent, DUE[-1])]
    reading = read_exchange(exchange(arrived, hop=name, head=head))
    return analyze_hop([reading], inner=inner, offset=offset, intermediaries=recognise(head))


def report(*hops: Hop, offset: ClockOffset | None = None) -> Report:
    """Return the report on these hops, outermost first."""
    found = with_fixes(find_findings(hops, offset), hops)
    exchanges = tuple(one.exchange for one in reversed(hops))
    return Report(hops, tuple(found), exchanges, offset, suspects=find_suspects(found, hops))
