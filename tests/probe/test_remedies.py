"""A finding gets the fix of the hop that signed, else of one that behaves alike, else none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.check_reports import hop, report
from support.synthetic_streams import block_buffer, hold_to_end
from undam.diagnosis.hop import Hop
from undam.intermediaries import Trouble, intermediary
from undam.probe.remedies import with_fixes
from undam.rules import Finding, Fix, finding


def buffering_at(*hops: Hop) -> Finding:
    (found,) = [one for one in report(*hops).findings if one.code in {"UD101", "UD102"}]
    return found


def test_signed_hop_gets_its_own_fix() -> None:
    found = buffering_at(hop(dam=block_buffer(4096), server="nginx/1.22.1"))
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_unsigned_hop_is_guessed_from_its_behaviour() -> None:
    found = buffering_at(hop(dam=block_buffer(4096)))
    assert found.fix is not None
    assert found.fix.where == "nginx, if that is in the path"
    assert found.fix.text == intermediary("nginx").fixes[Trouble.HOLD].text


def test_intermediary_that_signed_only_here_is_preferred() -> None:
    inner = hop("inner", server="envoy")
    found = buffering_at(hop(dam=block_buffer(4096), server="nginx", inner=inner), inner)
    assert (found.hop, found.fix) == ("edge", Fix("nginx", "proxy_buffering off;"))


def test_two_hops_of_the_same_kind() -> None:
    inner = hop("inner", server="nginx")
    found = buffering_at(hop(dam=hold_to_end(), server="nginx", inner=inner), inner)
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_unfamiliar_hold_has_no_fix() -> None:
    odd = hop(dam=block_buffer(3000))
    assert buffering_at(odd).fix is None


@pytest.mark.parametrize(
    ("code", "limit_s", "wanted"),
    [("UD404", 15.02, "envoy"), ("UD403", 60.01, "nginx"), ("UD403", 17.5, None)],
)
def test_cut_is_recognised_by_its_duration(code: str, limit_s: float, wanted: str | None) -> None:
    found = finding(code, "edge", limit_s=limit_s, saved="keep it open")
    (one,) = with_fixes([found], [hop()])
    assert (one.fix is not None and one.fix.where.startswith(wanted or "-")) == bool(wanted)


def test_existing_fix_stays_and_other_findings_get_none() -> None:
    own = Fix("origin", "Incremental: ?1")
    kept = finding("UD202", "edge", fix=own, missing="x")
    bare = finding("UD601", "edge", after_s=1, silent_s=0)
    lost = replace(buffering_at(hop(dam=block_buffer(4096))), hop="nowhere", fix=None)
    fixes = [one.fix for one in with_fixes([kept, bare, lost], [hop(server="nginx")])]
    assert fixes == [own, None, None]
