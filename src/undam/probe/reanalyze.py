"""Judge recorded exchanges again, as a check would have."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.diagnose import find_all
from undam.diagnosis.hop import Hop, judge_hop
from undam.diagnosis.reading import read_exchange
from undam.errors import UsageError
from undam.intermediaries import recognise
from undam.probe.check import Report
from undam.probe.remedies import with_fixes
from undam.record import Exchange
from undam.timing.beacon import HEADER


def judge_again(exchanges: Sequence[Exchange]) -> Report:
    """The report of these exchanges, innermost hop first, as a check recorded them.

    Bursts are judged by their pattern: the beacon's clock is not in a record. Of a beacon only the
    first stream of each hop counts, since others may have been silent or left on purpose.

    Raises:
        UsageError: there is no exchange.
    """
    if not exchanges:
        raise UsageError("the record holds no exchange")
    streams: dict[str, list[Exchange]] = {}
    for one in exchanges:
        streams.setdefault(one.hop, []).append(one)
    hops: list[Hop] = []
    for some in streams.values():
        head = some[0].head
        has_beacon = head is not None and head.get(HEADER.lower()) is not None
        judged = some[:1] if has_beacon else some
        hop = judge_hop(
            [read_exchange(one) for one in judged],
            inner=hops[0] if hops else None,
            intermediaries=recognise(head) if head else (),
        )
        hops.insert(0, hop)
    found = with_fixes(find_all(hops, None), hops)
    return Report(tuple(hops), tuple(found), tuple(exchanges))
