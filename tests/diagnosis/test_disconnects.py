"""Client disconnects that reach the origin late are reported in a single finding."""

from __future__ import annotations

from itertools import product

import pytest

from undam.diagnosis.findings.disconnect import Disconnect, find_disconnects

SOON, LATE, NEVER = 2.0, 4400.0, None


@pytest.mark.parametrize("seen", list(product((SOON, LATE, NEVER), repeat=2)))
def test_every_combination(seen: tuple[float | None, float | None]) -> None:
    flowing, silent = seen
    found = find_disconnects(
        "edge",
        [Disconnect("between tokens", flowing, 3000.0), Disconnect("in silence", silent, 3000.0)],
    )
    late = [
        when for when, ms in (("between tokens", flowing), ("in silence", silent)) if ms != SOON
    ]
    assert [one.evidence["left"] for one in found] == ([late] if late else [])
    for one in found:
        assert (one.code, one.hop) == ("UD110", "edge")
        assert ("only after 4.4 s" in one.message) == (LATE in seen)
        assert ("not within 3 s" in one.message) == (NEVER in seen)


def test_no_disconnects_no_findings() -> None:
    assert find_disconnects("edge", []) == []
