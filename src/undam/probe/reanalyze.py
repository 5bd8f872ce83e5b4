"""Re-analysis of recorded exchanges with the rules of `undam check`."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.errors import UsageError
from undam.probe.check import Report
from undam.probe.remedies import find_suspects, recognised_in, with_fixes, with_known_filter
from undam.record import Exchange
from undam.timing.beacon import HEADER
from undam.work_budget import MAX_RECORD_ITEMS, WorkBudget


def reanalyze(exchanges: Sequence[Exchange]) -> Report:
    """Return a report on exchanges that a check recorded, innermost hop first.

    Holds are analyzed by pattern, because a record lacks the clock of the beacon. With a beacon,
    only the first stream of each hop counts: others may have been silent on purpose.

    Raises:
        UsageError: ``exchanges`` is empty.
    """
    if not exchanges:
        raise UsageError("the record contains no exchanges")
    streams: dict[str, list[Exchange]] = {}
    for one in exchanges:
        streams.setdefault(one.hop, []).append(one)
    hops: list[Hop] = []
    budget = WorkBudget(MAX_RECORD_ITEMS)
    for some in streams.values():
        head = some[0].head
        has_beacon = head is not None and head.get(HEADER.lower()) is not None
        judged = some[:1] if has_beacon else some
        hop = analyze_hop(
            [read_exchange(one, budget) for one in judged],
            inner=hops[0] if hops else None,
            intermediaries=recognised_in(some[0]),
        )
        hops.insert(0, with_known_filter(hop))
    found = with_fixes(find_findings(hops, None), hops)
    suspects = find_suspects(found, hops)
    return Report(tuple(hops), tuple(found), tuple(exchanges), suspects=suspects)
