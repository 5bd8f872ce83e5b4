"""`undam check` with three hops identifies the buffering hop in every position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from support.live import (
    RunProxy,
    Simulator,
    check,
    codes_by_hop,
    hold_codes_by_hop,
    hop_json,
    measure,
)
from undam.lab.proxies import RunningProxy, start_haproxy, start_lighttpd, start_nginx
from undam.probe import Report

# HAProxy holds only chunked bodies, and HTTP/1.0 clients get none, so HTTP/1.1 is required.
FREE = partial(start_nginx, location="proxy_buffering off;\nproxy_http_version 1.1;")

NAMES = ("edge", "mid", "inner")

# Four requests run in turn, so the stream is short: eight nginx buffers in 1.4 s.
PATH = "/v1/chat/completions?gap=10&tokens=240"

GUILTY: Mapping[str, tuple[Callable[..., RunningProxy], str]] = {
    "nginx": (start_nginx, "UD102"),
    "haproxy": (start_haproxy, "UD103"),
    "lighttpd": (start_lighttpd, "UD101"),
}


def _chain(
    run_proxy: RunProxy, model: Simulator, starts: list[Callable[..., RunningProxy]]
) -> list[tuple[str, str]]:
    """Start proxies in front of the model; return the names and URLs of all hops.

    Both ``starts`` and the result are outermost first.
    """
    hops = [("origin", model.url)]
    for name, start in zip(reversed(NAMES), reversed(starts), strict=True):
        hops.insert(0, (name, run_proxy(start, hops[0][1]).url))
    return hops


def _reports(model: Simulator, chains: list[list[tuple[str, str]]]) -> list[Report]:
    """Check each chain with and without a beacon, all concurrently."""
    return measure(
        model,
        lambda: [
            check(edge, *inner, path=PATH, beacon=on)
            for (_, edge), *inner in chains
            for on in (False, True)
        ],
    )


@pytest.mark.parametrize("program", GUILTY)
def test_buffering_hop_is_named_in_each_position(
    program: str, model: Simulator, run_proxy: RunProxy
) -> None:
    start, code = GUILTY[program]
    chains = []
    for guilty in NAMES:
        starts = [start if name == guilty else FREE for name in NAMES]
        chains.append(_chain(run_proxy, model, starts))
    reports = _reports(model, chains)
    named = [hold_codes_by_hop(report) for report in reports]
    assert named == [{guilty: {code}} for guilty in NAMES for _ in range(2)]
    for guilty, pair in zip(NAMES, (reports[0:2], reports[2:4], reports[4:6]), strict=True):
        for report in pair:
            _assert_held_from(guilty, report)


def _assert_held_from(guilty: str, report: Report) -> None:
    """Assert that the hop ``guilty`` and all outer hops hold the stream, and no inner hop does."""
    outside = NAMES[: NAMES.index(guilty) + 1]
    for name in (*NAMES, "origin"):
        held = hop_json(report, name)["verdict"] in {"batched", "late", "held-to-end"}
        assert held == (name in outside), (guilty, name)


def test_no_hop_is_named_where_none_holds(model: Simulator, run_proxy: RunProxy) -> None:
    for report in _reports(model, [_chain(run_proxy, model, [FREE, FREE, FREE])]):
        assert hold_codes_by_hop(report) == {}
        assert codes_by_hop(report) == {}
        assert [hop.name for hop in report.hops] == [*NAMES, "origin"]


def test_each_of_two_dams_is_named(model: Simulator, run_proxy: RunProxy) -> None:
    """If a hop delays an already held stream further, that hop needs a fix as well."""
    chain = _chain(run_proxy, model, [start_lighttpd, FREE, start_nginx])
    for report in _reports(model, [chain]):
        assert hold_codes_by_hop(report) == {"edge": {"UD101"}, "inner": {"UD102"}}
