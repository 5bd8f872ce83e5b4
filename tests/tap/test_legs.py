"""Pairing of the two sides of a proxy."""

from __future__ import annotations

from undam.tap.capture.segments import Endpoint
from undam.tap.legs import _leads_back

FIRST, SECOND, MODEL = (Endpoint("127.0.0.1", port) for port in (8080, 8081, 9000))


def test_a_server_is_not_a_proxy_for_those_that_forward_to_it() -> None:
    upstreams = {(FIRST, SECOND): 5.0, (SECOND, MODEL): 5.0, (MODEL, FIRST): 0.3}
    assert _leads_back(upstreams, MODEL, FIRST)
    assert _leads_back(upstreams, MODEL, SECOND)
    assert not _leads_back(upstreams, FIRST, SECOND)
    assert not _leads_back(upstreams, SECOND, MODEL)
