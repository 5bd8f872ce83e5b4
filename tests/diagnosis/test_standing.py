"""Standing streams: an idle stream is healthy, while a held head or a cut is a fault."""

from __future__ import annotations

from typing import Any

import pytest

from undam.diagnosis.findings.standing import StandingStream, find_standing
from undam.rules import Severity


def found(**seen: Any) -> list[tuple[str, Severity]]:
    stream = StandingStream(**{"head_ms": 3.0, "waited_s": 0.003, "observed_s": 20.0, **seen})
    return [(one.code, one.severity) for one in find_standing("edge", stream)]


@pytest.mark.parametrize("head_ms", [0.2, 3.0, 999.0])
@pytest.mark.parametrize("arrived", [{}, {"events": 3}, {"comments": 2, "server_pings": 1}])
def test_a_head_in_time_is_good_whatever_follows(head_ms: float, arrived: dict[str, int]) -> None:
    assert found(head_ms=head_ms, **arrived) == []


@pytest.mark.parametrize(("head_ms", "waited_s"), [(8000.0, 8.0), (1500.0, 1.5), (None, 60.0)])
def test_a_held_head_is_an_error(head_ms: float | None, waited_s: float) -> None:
    assert found(head_ms=head_ms, waited_s=waited_s) == [("UD618", Severity.ERROR)]
    stream = StandingStream(head_ms=head_ms, waited_s=waited_s)
    (one,) = find_standing("edge", stream)
    assert ("no head arrived" in one.message) == (head_ms is None)


@pytest.mark.parametrize("clean", [True, False])
def test_an_end_of_the_stream_is_a_warning(clean: bool) -> None:
    assert found(ended_after_s=12.5, ended_cleanly=clean) == [("UD620", Severity.WARNING)]


def test_a_server_that_lets_its_client_poll_is_an_info() -> None:
    """A server may close the stream on purpose, after a `retry` field."""
    polls = {"ended_after_s": 1.0, "retry_ms": 3000}
    assert found(ended_cleanly=True, **polls) == [("UD620", Severity.INFO)]
    assert found(ended_cleanly=False, **polls) == [("UD620", Severity.WARNING)]


def test_a_server_without_a_standing_stream_is_an_info() -> None:
    assert found(offered=False, head_ms=None) == [("UD619", Severity.INFO)]
