"""The work counter detects quadratic work."""

from __future__ import annotations

import pytest

from support.work import assert_linear, count_calls


def test_count_calls() -> None:
    assert count_calls(lambda: [abs(i) for i in range(1000)]) >= 1000


def test_linear_work_is_accepted() -> None:
    assert_linear(lambda n: [abs(i) for i in range(n)], 200)


def test_quadratic_work_is_rejected() -> None:
    with pytest.raises(AssertionError, match="calls for"):
        assert_linear(lambda n: [abs(i) for i in range(n) for _ in range(n)], 20)
