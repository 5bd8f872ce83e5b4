"""Delays that occur only on reused connections, and answers that are merely slow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.synthetic_streams import Write, chat_event, exchange
from undam.diagnosis.findings.reuse import is_decided, reuse_delay_ns
from undam.record import Exchange

MS = 1_000_000


def stream(*times_ms: float, head_ms: float = 0) -> Exchange:
    """Return an answer with one event at each of the times ``due``."""
    return exchange([Write(at, chat_event("a")) for at in times_ms], head_ms=head_ms)


FRESH = stream(2, 12, 22)


@pytest.mark.parametrize("gap_ms", [38, 41, 44, 48])
def test_the_first_event_waits_for_a_delayed_acknowledgement(gap_ms: float) -> None:
    reused = stream(gap_ms, gap_ms + 10, gap_ms + 20)
    assert reuse_delay_ns(FRESH, reused) == pytest.approx(gap_ms * MS)


@pytest.mark.parametrize("gap_ms", [37, 49, 200])
def test_other_first_gaps_have_another_cause(gap_ms: float) -> None:
    assert reuse_delay_ns(FRESH, stream(gap_ms, gap_ms + 10, gap_ms + 20)) is None


def test_a_later_gap_counts_only_if_it_releases_several_events() -> None:
    one = [Write(at, chat_event("a")) for at in (2, 46, 56)]
    several = [one[0], Write(46, chat_event("a") * 4), one[2]]
    assert reuse_delay_ns(FRESH, exchange(one, head_ms=0)) is None
    assert reuse_delay_ns(FRESH, exchange(several, head_ms=0)) == pytest.approx(44 * MS)


def test_a_new_connection_that_is_as_slow_has_no_delay_of_reuse() -> None:
    assert reuse_delay_ns(stream(40, 50, 60), stream(44, 54, 64)) is None


def test_an_answer_without_a_head_has_no_gaps() -> None:
    reused = stream(44, 54, 64)
    headless = replace(reused, stamps=replace(reused.stamps, head_ns=None))
    assert reuse_delay_ns(FRESH, reused) is not None
    assert reuse_delay_ns(FRESH, headless) is None
    assert reuse_delay_ns(headless, reused) is None


@pytest.mark.parametrize(("reads", "decided"), [(0, False), (2, False), (3, True), (9, True)])
def test_three_reads_decide(reads: int, decided: bool) -> None:
    assert is_decided(stream(*(10.0 * at for at in range(reads)))) is decided


@pytest.mark.parametrize("trip_ms", [0.1, 25, 90, 180])
def test_on_a_long_path_the_delay_has_a_round_trip_in_addition(trip_ms: float) -> None:
    def far(*times_ms: float) -> Exchange:
        one = stream(*times_ms)
        start_ns = one.stamps.start_ns
        stamps = replace(one.stamps, dns_ns=start_ns, connect_ns=start_ns + round(trip_ms * MS))
        return replace(one, stamps=stamps)

    # On a new connection, Nagle's algorithm waits for an immediate acknowledgement.
    fresh = far(trip_ms, trip_ms + 10, trip_ms + 20)
    reused = far(trip_ms + 41, trip_ms + 51, trip_ms + 61)
    assert reuse_delay_ns(fresh, reused) == pytest.approx((trip_ms + 41) * MS)
    # Jitter, a queue at the server, and a path without the delay.
    for late_ms in (5, 25, 120):
        other = far(trip_ms + late_ms, trip_ms + late_ms + 10, trip_ms + late_ms + 20)
        assert (reuse_delay_ns(fresh, other) is None) == (not 38 <= trip_ms + late_ms <= 48)
