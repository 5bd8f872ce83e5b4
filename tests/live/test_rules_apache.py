"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.fastcgi_server import fastcgi_origin
from support.live import RunProxy, check, codes_by_hop, hop_json
from support.proxy_programs import APACHE, start_with_config, validate_config
from support.rule_files import (
    KINDS,
    QUICK,
    SILENT,
    StartSim,
    check_bad_and_fixed,
    check_rendered,
    codes,
    completes,
    start_file,
    text_of,
    verdicts,
)
from undam.record import Ending


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("APA"))
def test_httpd_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(APACHE, text_of(code, kind), tmp_path)
    assert accepted, words


def test_httpd_refuses_nonsense(tmp_path: Path) -> None:
    accepted, words = validate_config(
        APACHE, f"{text_of('APA101', 'good')}NoSuchDirective on\n", tmp_path
    )
    assert not accepted
    assert "NoSuchDirective" in words


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, APACHE, "apache", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, APACHE, "apache", model, idle_s=1.0)
    long = check_rendered(run_proxy, APACHE, "apache", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


def through_fastcgi(run_proxy: RunProxy, text: str) -> dict[str, Any]:
    with fastcgi_origin() as origin:
        proxy = run_proxy(start_with_config, APACHE, text, origin=origin)
        report = asyncio.run(check(proxy.url))
        proxy.stop()
    return hop_json(report)


def test_fastcgi_is_held_until_packets_are_flushed(run_proxy: RunProxy) -> None:
    bad, fixed = text_of("APA101", "bad"), text_of("APA101", "fixed")
    auto = fixed.replace("flushpackets=on", "flushpackets=auto")
    assert auto != fixed
    for held in (bad, auto):
        assert through_fastcgi(run_proxy, held)["events_per_read"]["p50"] > 20
    assert through_fastcgi(run_proxy, fixed)["events_per_read"]["p50"] == 1


def test_the_header_of_nginx_frees_nothing(run_proxy: RunProxy) -> None:
    with_header = text_of("APA202", "bad").replace(" flushpackets=on", "")
    assert through_fastcgi(run_proxy, with_header)["events_per_read"]["p50"] > 20


@pytest.mark.parametrize("code", ["APA102", "APA103"])
def test_filters_make_blocks_of_a_stream(
    code: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    reports = check_bad_and_fixed(run_proxy, APACHE, code, simulator(*QUICK))
    assert verdicts(reports) == ("batched", "streaming")


def test_a_stored_stream_is_given_out_whole(simulator: StartSim, run_proxy: RunProxy) -> None:
    cacheable = ("--header", "Cache-Control: max-age=60")
    model = simulator("--gap", "5", "--tokens", "150", *cacheable)
    took: list[list[float]] = []
    for kind in ("bad", "fixed"):
        proxy = start_file(run_proxy, APACHE, text_of("APA104", kind), model)
        reports = [asyncio.run(check(proxy.url, path="/v1/stream")) for _ in range(2)]
        stamps = [report.exchanges[0] for report in reports]
        took.append([(one.ended_ns - (one.stamps.sent_ns or 0)) / 1e9 for one in stamps])
    (bad_first, bad_again), (fixed_first, fixed_again) = took
    assert bad_again < bad_first / 3
    assert fixed_again > fixed_first / 2


def test_over_http_10_a_crash_looks_like_an_end(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*QUICK, "--die-after", "20")
    bad, fixed = check_bad_and_fixed(run_proxy, APACHE, "APA105", model)
    assert bad.exchanges[0].ending is Ending.COMPLETE
    assert fixed.exchanges[0].ending is not Ending.COMPLETE


def test_flushing_packets_changes_nothing_over_http(
    simulator: StartSim, run_proxy: RunProxy
) -> None:
    reports = check_bad_and_fixed(run_proxy, APACHE, "APA201", simulator(*QUICK))
    assert verdicts(reports) == ("streaming", "streaming")


@pytest.mark.parametrize(
    "shorter",
    [
        (("ProxyTimeout 10", "ProxyTimeout 1"),),
        (("ProxyTimeout 10", "Timeout 1"),),
        (("retry=1", "retry=1 timeout=1"), ("timeout=1 timeout=3600", "timeout=3600")),
    ],
    ids=["ProxyTimeout", "Timeout", "timeout="],
)
def test_a_silence_longer_than_the_limit_is_a_cut(
    shorter: tuple[tuple[str, str], ...], simulator: StartSim, run_proxy: RunProxy
) -> None:
    texts = [text_of("APA401", kind) for kind in ("bad", "fixed")]
    model = simulator(*SILENT)
    finished = []
    for old, new in shorter:
        texts = [text.replace(old, new) for text in texts]
    for text in texts:
        proxy = start_file(run_proxy, APACHE, text, model)
        finished.append(hop_json(asyncio.run(check(proxy.url)))["complete"])
    assert finished == [False, True]


def test_a_heartbeat_keeps_a_silent_stream_alive(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT, "--heartbeat", "0.3")
    text = text_of("APA401", "bad").replace("ProxyTimeout 10", "ProxyTimeout 1")
    proxy = start_file(run_proxy, APACHE, text, model)
    assert hop_json(asyncio.run(check(proxy.url)))["complete"]
