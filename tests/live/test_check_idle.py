"""`undam check --idle` through real proxies: the idle timeouts found, and their kinds.

The findings also state whether heartbeats prevent the cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from support.live import Simulator, check, hop_json, skip_or_fail
from undam.lab.buffering_proxy import BufferingProxy, ProxyBehavior
from undam.lab.proxies import Missing, start_envoy, start_haproxy, start_nginx
from undam.probe import Report, report_json

IDLE_S = 6.0
LIMIT_S = 3.0
IDLE, TOTAL, DROPPED = "UD403", "UD404", "UD405"

# The main stream of the check must end before the 3 s limit on a whole response.
PATH = "/v1/chat/completions?ttft=10&gap=10&tokens=20"

READ_TIMEOUT = "proxy_read_timeout 3s;"

PATHS: Mapping[str, Callable[[str], Any]] = {
    "nginx": partial(start_nginx, location=f"{READ_TIMEOUT}\nproxy_buffering off;"),
    "nginx-buffering": partial(start_nginx, location=READ_TIMEOUT),
    "haproxy": partial(start_haproxy, timeout_server="3s", options="option http-no-delay"),
    "envoy-route": partial(start_envoy, route_timeout="3s"),
    "envoy-idle": partial(start_envoy, stream_idle_timeout="3s", route_timeout="0s"),
    "forgets": lambda upstream: BufferingProxy(upstream, ProxyBehavior(forget_after_s=2)),
    "forgets-and-holds": lambda upstream: BufferingProxy(
        upstream, ProxyBehavior(forget_after_s=2, block_bytes=4096)
    ),
    "nginx-60s": partial(start_nginx, location="proxy_buffering off;"),
}

Checked = dict[str, Report | Missing]


@pytest.fixture(scope="module")
def checked(model: Simulator) -> Checked:
    """Each check is idle for most of its 8 s, so all paths are checked concurrently."""
    found: Checked = {}
    with contextlib.ExitStack() as running:
        urls = {"direct": model.url}
        for name, start in PATHS.items():
            try:
                urls[name] = running.enter_context(start(model.url)).url
            except Missing as missing:
                found[name] = missing
        for name, report in zip(urls, asyncio.run(_check_all(urls)), strict=True):
            found[name] = report
    return found


async def _check_all(urls: Mapping[str, str]) -> list[Report]:
    checks = [check(url, path=PATH, beacon=True, idle_s=IDLE_S) for url in urls.values()]
    return list(await asyncio.gather(*checks))


def _limits(checked: Checked, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the report's limits, and the evidence of idle-timeout findings by code."""
    report = checked[name]
    if isinstance(report, Missing):
        skip_or_fail(report)
    limits = report_json(report)["limits"]
    assert isinstance(limits, dict)
    assert limits["tried_s"] == IDLE_S
    codes = {one.code: dict(one.evidence) for one in report.findings if one.code[2] == "4"}
    return limits, codes


@pytest.mark.parametrize("name", ["nginx", "nginx-buffering", "haproxy", "envoy-idle"])
def test_an_idle_limit_from_which_heartbeats_save(checked: Checked, name: str) -> None:
    limits, found = _limits(checked, name)
    assert limits["total_s"] is None
    assert limits["idle_s"] == pytest.approx(LIMIT_S, abs=1), limits
    assert limits["drop_between_s"] is None
    assert limits["heartbeats_save"] is True
    assert limits["heartbeats_arrive"] is True
    assert set(found) == {IDLE}
    assert abs(found[IDLE]["limit_s"] - LIMIT_S) < 1
    assert found[IDLE]["saved"] == "keep it open"


def test_a_total_limit_that_heartbeats_do_not_move(checked: Checked) -> None:
    limits, found = _limits(checked, "envoy-route")
    assert limits["total_s"] == pytest.approx(LIMIT_S, abs=1), limits
    assert limits["idle_s"] is None
    assert limits["heartbeats_save"] is False
    assert set(found) == {TOTAL}
    assert abs(found[TOTAL]["limit_s"] - LIMIT_S) < 1


@pytest.mark.parametrize("name", ["forgets", "forgets-and-holds"])
def test_a_relay_that_forgets_without_a_word(checked: Checked, name: str) -> None:
    """The relay closes the connection after 2 s, which is between the tested 1.5 s and 3 s."""
    limits, found = _limits(checked, name)
    assert limits["drop_between_s"] == [1.5, 3.0] or limits["drop_between_s"] == (1.5, 3.0)
    assert limits["idle_s"] is None
    assert limits["total_s"] is None
    assert limits["heartbeats_save"] is True
    assert set(found) == {DROPPED}
    assert (found[DROPPED]["survived_s"], found[DROPPED]["silent_s"]) == (1.5, 3.0)


@pytest.mark.parametrize("name", ["direct", "nginx-60s"])
def test_nothing_is_found_where_no_limit_is_met(checked: Checked, name: str) -> None:
    limits, found = _limits(checked, name)
    assert limits["idle_s"] is None
    assert limits["total_s"] is None
    assert limits["drop_between_s"] is None
    assert limits["heartbeats_arrive"] is True
    assert found == {}


def test_each_finding_has_the_line_that_mends_it(checked: Checked) -> None:
    for name, line in {
        "nginx": "proxy_read_timeout",
        "envoy-route": "timeout",
        "envoy-idle": "idle_timeout",
    }.items():
        report = checked[name]
        if isinstance(report, Missing):
            skip_or_fail(report)
        (cut,) = [one for one in report.findings if one.code in {IDLE, TOTAL}]
        assert cut.fix is not None, name
        assert line in cut.fix.text, name


def test_what_streams_is_still_said_to_stream(checked: Checked) -> None:
    for name in ("direct", "nginx", "haproxy", "envoy-route", "forgets"):
        report = checked[name]
        if not isinstance(report, Missing):
            assert hop_json(report)["verdict"] == "streaming", name
