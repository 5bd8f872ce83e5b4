"""`undam check --cancel` through real proxies: the time until the origin detects a disconnect.

The client disconnects between tokens and during silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from support.live import Simulator, check, proxies, skip_or_fail
from undam.lab.proxies import (
    Missing,
    RunningProxy,
    start_caddy,
    start_envoy,
    start_haproxy,
    start_lighttpd,
    start_nginx,
    start_node,
)
from undam.probe import Report, report_json

# The main stream is short because only the disconnects are tested.
PATH = "/v1/chat/completions?ttft=10&gap=10&tokens=20"

PATHS: Mapping[str, Callable[..., RunningProxy]] = {
    "nginx": start_nginx,
    "nginx-unbuffered": partial(start_nginx, location="proxy_buffering off;"),
    "envoy": start_envoy,
    "caddy": start_caddy,
    "haproxy": partial(start_haproxy, options="option http-no-delay"),
    "lighttpd": start_lighttpd,
    "node-http-proxy": partial(start_node, app="http-proxy"),
}

BETWEEN, SILENT = "between tokens", "in silence"

# Minimum remainder of the origin's 3 s pause when the client disconnects.
_SILENCE_LEFT_MS = 1500

Checked = dict[str, Report | Missing]


@pytest.fixture(scope="module")
def checked(model: Simulator) -> Checked:
    """Each check mostly waits for 5 s, so all paths are checked concurrently."""
    found: Checked = {}
    with proxies() as start:
        urls = {"direct": model.url}
        for name, starter in PATHS.items():
            try:
                urls[name] = start(starter, model.url).url
            except Missing as missing:
                found[name] = missing
        for name, report in zip(urls, asyncio.run(_check_all(urls)), strict=True):
            found[name] = report
    return found


async def _check_all(urls: Mapping[str, str]) -> list[Report]:
    checks = [check(url, path=PATH, beacon=True, cancel=True) for url in urls.values()]
    return list(await asyncio.gather(*checks))


def _seen(checked: Checked, name: str) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Return the detection delays in ms by disconnect, and the evidence of the UD110 findings."""
    report = checked[name]
    if isinstance(report, Missing):
        skip_or_fail(report)
    told = report_json(report)["cancel"]
    assert isinstance(told, list)
    seen = {one["when"]: one["seen_after_ms"] for one in told}
    assert set(seen) == {BETWEEN, SILENT}
    return seen, [dict(one.evidence) for one in report.findings if one.code == "UD110"]


@pytest.mark.parametrize("name", ["direct", "nginx", "nginx-unbuffered", "envoy", "caddy"])
def test_leaving_is_passed_on_at_once(checked: Checked, name: str) -> None:
    seen, found = _seen(checked, name)
    for when, ms in seen.items():
        assert ms is not None, when
        # Without forwarding, the origin would detect the disconnect only when it writes the next
        # event.
        assert ms < _SILENCE_LEFT_MS / 3, when
    assert found == []


def test_haproxy_notices_only_when_the_origin_writes_again(checked: Checked) -> None:
    seen, found = _seen(checked, "haproxy")
    between, silent = seen[BETWEEN], seen[SILENT]
    assert between is not None
    assert silent is not None
    assert silent > _SILENCE_LEFT_MS > 3 * between
    (evidence,) = found
    assert evidence["left"] == [SILENT]


@pytest.mark.parametrize("name", ["lighttpd", "node-http-proxy"])
def test_the_origin_runs_to_the_end_where_leaving_is_never_noticed(
    checked: Checked, name: str
) -> None:
    seen, found = _seen(checked, name)
    assert seen == {BETWEEN: None, SILENT: None}
    (evidence,) = found
    assert evidence["left"] == [BETWEEN, SILENT]


def test_what_the_beacon_said_is_what_the_truth_says(model: Simulator, checked: Checked) -> None:
    """The ground truth records why each exchange ended."""
    reasons = [line["reason"] for line in model.truth() if line["kind"] == "end"]
    noticed = sum(ms is not None for name in checked for ms in _noticed(checked[name]))
    assert noticed > 0
    assert reasons.count("client-left") >= noticed


def _noticed(report: Report | Missing) -> list[float | None]:
    return [] if isinstance(report, Missing) else [one.seen_after_ms for one in report.disconnects]
