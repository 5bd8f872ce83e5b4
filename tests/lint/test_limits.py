"""Severity of idle timeouts and of limits on the total response time."""

from __future__ import annotations

import pytest

from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity


@pytest.mark.parametrize(
    ("limit_s", "severity"),
    [
        (0, None), (1, Severity.ERROR), (60, Severity.ERROR), (61, Severity.WARNING),
        (3599, Severity.WARNING), (3600, None), (7200, None),
    ],
)  # fmt: skip
def test_a_limit_on_the_whole_response(limit_s: float, severity: Severity | None) -> None:
    assert total_limit_severity(limit_s) is severity


@pytest.mark.parametrize(
    ("limit_s", "severity"),
    [(0, None), (15, Severity.ERROR), (16, Severity.WARNING), (29, Severity.WARNING), (30, None)],
)
def test_with_heartbeats_a_limit_must_be_two_intervals(
    limit_s: float, severity: Severity | None
) -> None:
    assert ExpectedSilence(heartbeat_s=15).severity(limit_s) is severity


@pytest.mark.parametrize("heartbeat_s", [None, 0.0])
@pytest.mark.parametrize(
    ("limit_s", "severity"),
    [
        (0, None),
        (1, Severity.WARNING),
        (60, Severity.WARNING),
        (299, Severity.WARNING),
        (300, None),
    ],
)
def test_without_heartbeats_a_limit_must_exceed_the_silence_to_expect(
    limit_s: float, severity: Severity | None, heartbeat_s: float | None
) -> None:
    assert ExpectedSilence(300, heartbeat_s).severity(limit_s) is severity


def test_the_reason_names_the_value_that_was_compared() -> None:
    assert "intervals of 15 s" in ExpectedSilence(heartbeat_s=15).reason
    assert "silent for 120 s" in ExpectedSilence(120).reason
