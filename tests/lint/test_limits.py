"""Severity of timeouts."""

from __future__ import annotations

import pytest

from undam.lint.limits import idle_limit_severity, total_limit_severity
from undam.rules import Severity


@pytest.mark.parametrize(
    ("limit_s", "severity"),
    [
        (0, None),
        (1, Severity.ERROR),
        (60, Severity.ERROR),
        (61, Severity.WARNING),
        (3599, Severity.WARNING),
        (3600, None),
    ],
)
def test_severity_of_a_total_limit(limit_s: float, severity: Severity | None) -> None:
    assert total_limit_severity(limit_s) is severity


@pytest.mark.parametrize(
    ("limit_s", "severity"),
    [(0, None), (15, Severity.ERROR), (16, Severity.WARNING), (29, Severity.WARNING), (30, None)],
)
def test_severity_of_an_idle_limit(limit_s: float, severity: Severity | None) -> None:
    assert idle_limit_severity(limit_s, 15) is severity
