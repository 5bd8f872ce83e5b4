"""Measurement of work as a number of function calls, which does not depend on the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_FACTOR = 8
# For eight times the input, linear work grows by a factor of 8 and quadratic work by 64.
_MAX_RATIO = 12


def count_calls(function: Callable[[], object]) -> int:
    """Return how many Python and C functions are called while ``function`` runs."""
    calls = 0

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def assert_linear(run: Callable[[int], object], size: int) -> None:
    """Assert that ``run`` makes at most 12 times as many calls for eight times the size.

    Args:
        run: function of the size of the input. It is called once before, to fill caches.
        size: large enough that constant work does not matter.
    """
    run(size)
    small = count_calls(lambda: run(size))
    large = count_calls(lambda: run(_FACTOR * size))
    assert large <= _MAX_RATIO * small, f"{small} calls for {size}, {large} for {_FACTOR * size}"
