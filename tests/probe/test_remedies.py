"""A finding gets the line of whoever signed, else of whom its habit resembles, else none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.reports import hop, report
from support.streams import blocks, to_end
from undam.diagnosis.hop import Hop
from undam.intermediaries import Trouble, intermediary
from undam.probe.remedies import with_fixes
from undam.rules import Finding, Fix, finding


def dam_of(*hops: Hop) -> Finding:
    (found,) = [one for one in report(*hops).findings if one.code in {"UD101", "UD102"}]
    return found


def test_who_signed_gets_its_own_line() -> None:
    found = dam_of(hop(dam=blocks(4096), server="nginx/1.22.1"))
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_who_is_silent_is_guessed_by_its_habit_and_named_as_a_guess() -> None:
    found = dam_of(hop(dam=blocks(4096)))
    assert found.fix is not None
    assert found.fix.where == "nginx, if that is in the path"
    assert found.fix.text == intermediary("nginx").fixes[Trouble.HOLD].text


def test_of_two_hops_the_one_that_signed_only_here_is_meant() -> None:
    inner = hop("inner", server="envoy")
    found = dam_of(hop(dam=blocks(4096), server="nginx", inner=inner), inner)
    assert (found.hop, found.fix) == ("edge", Fix("nginx", "proxy_buffering off;"))


def test_of_two_of_the_same_kind_both_are_meant() -> None:
    inner = hop("inner", server="nginx")
    found = dam_of(hop(dam=to_end(), server="nginx", inner=inner), inner)
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_hold_that_is_like_nobodys_has_no_fix() -> None:
    odd = hop(dam=blocks(3000))
    assert dam_of(odd).fix is None


@pytest.mark.parametrize(
    ("code", "limit_s", "wanted"),
    [("UD404", 15.02, "envoy"), ("UD403", 60.01, "nginx"), ("UD403", 17.5, None)],
)
def test_cut_is_told_by_its_seconds(code: str, limit_s: float, wanted: str | None) -> None:
    found = finding(code, "edge", limit_s=limit_s, saved="keep it open")
    (one,) = with_fixes([found], [hop()])
    assert (one.fix is not None and one.fix.where.startswith(wanted or "-")) == bool(wanted)


def test_fix_of_its_own_stays_and_other_findings_get_none() -> None:
    own = Fix("origin", "Incremental: ?1")
    kept = finding("UD202", "edge", fix=own, missing="x")
    bare = finding("UD601", "edge", after_s=1, silent_s=0)
    lost = replace(dam_of(hop(dam=blocks(4096))), hop="nowhere", fix=None)
    fixes = [one.fix for one in with_fixes([kept, bare, lost], [hop(server="nginx")])]
    assert fixes == [own, None, None]
