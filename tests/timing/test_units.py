"""Converting nanoseconds to milliseconds."""

from __future__ import annotations

from undam.timing import to_ms


def test_default_is_exact_to_the_nanosecond() -> None:
    assert to_ms(1_234_567) == 1.234567
    assert to_ms(1) == 0.000001


def test_digits() -> None:
    assert to_ms(1_250_000, 1) == 1.2
    assert to_ms(-1_260_000, 1) == -1.3
