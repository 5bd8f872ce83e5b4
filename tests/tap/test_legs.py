"""Pairing of the connections on both sides of a proxy."""

from __future__ import annotations

from undam.tap.capture.segments import Endpoint
from undam.tap.legs import _begins_earlier, _leads_back

FIRST, SECOND, MODEL = (Endpoint("127.0.0.1", port) for port in (8080, 8081, 9000))


def test_a_server_is_not_a_proxy_for_those_that_forward_to_it() -> None:
    upstreams = {(FIRST, SECOND): 5.0, (SECOND, MODEL): 5.0, (MODEL, FIRST): 0.3}
    assert _leads_back(upstreams, MODEL, FIRST)
    assert _leads_back(upstreams, MODEL, SECOND)
    assert not _leads_back(upstreams, FIRST, SECOND)
    assert not _leads_back(upstreams, SECOND, MODEL)


def test_a_server_whose_requests_begin_earlier_is_not_behind_a_proxy() -> None:
    starts = {FIRST: [10, 20, 30], SECOND: [11, 21, 31], MODEL: [12, 22, 32]}
    assert _begins_earlier(starts, MODEL, FIRST)
    assert _begins_earlier(starts, SECOND, FIRST)
    assert not _begins_earlier(starts, FIRST, SECOND)
    assert not _begins_earlier(starts, FIRST, MODEL)


def test_requests_that_were_not_passed_on_do_not_change_the_order() -> None:
    starts = {FIRST: [10, 20, 30, 40], SECOND: [21, 41]}
    assert not _begins_earlier(starts, FIRST, SECOND)
    # The first server has more requests, so some may not come from the second server.
    assert not _begins_earlier(starts, SECOND, FIRST)


def test_start_times_of_two_hosts_are_not_compared() -> None:
    other = Endpoint("127.0.0.2", 9000)
    assert not _begins_earlier({other: [12], FIRST: [10]}, other, FIRST)
