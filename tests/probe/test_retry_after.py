"""Retry-After in a refusal: seconds, dates, and invalid values."""

from __future__ import annotations

import pytest

from undam.probe.fetch import retry_after_s

NOW = 1_795_869_296.0  # Sat, 28 Nov 2026 12:34:56 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("9" * 40, 999_999_999.0),
        ("Sat, 28 Nov 2026 12:36:56 GMT", 120.0),
        ("Sat, 28 Nov 2026 12:30:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣٠", None),
        ("Sat, 99 Nov 2026 12:36:56 GMT", None),
    ],
)
def test_seconds_and_dates_are_parsed(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds
