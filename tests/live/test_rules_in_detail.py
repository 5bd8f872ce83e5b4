"""Rules for httpd, nginx and ingress-nginx that need more than one check of `bad` and `fixed`."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.application_server import application_server
from support.live import RunProxy, check, codes_by_hop, hop_json
from support.proxy_programs import APACHE, NGINX, start_with_config, validate_config
from support.rule_cases import apache, nginx
from support.rule_cases.model import (
    HELD,
    IS_HELD,
    QUICK,
    STREAMS,
    LiveDialect,
    RuleCase,
    RunningPair,
    StartSim,
    rule_text,
    start_pair,
)
from undam.lint.dialects.ingress_nginx.rules.ineffective import WRITTEN_BY_CONTROLLER
from undam.probe import Report
from undam.record import Ending, Head

_SERVERS = {"apache": apache.LIVE, "nginx": nginx.LIVE}


def pair_of(
    live: LiveDialect,
    code: str,
    simulator: StartSim,
    run_proxy: RunProxy,
    *arguments: str,
    replace: tuple[str, str] = ("", ""),
) -> RunningPair:
    """Start the program with `bad` and again with `fixed`, both in front of one simulator."""
    case = RuleCase(code=code, bad=IS_HELD, fixed=STREAMS, replace=(replace,))
    return start_pair(live, case, simulator(*arguments), run_proxy)


def head_of(report: Report) -> Head:
    head = report.exchanges[0].head
    assert head is not None
    return head


# httpd and nginx


@pytest.mark.parametrize(("server", "code"), [("apache", "APA104"), ("nginx", "NGX104")])
def test_cached_stream_is_sent_in_one_piece(
    server: str, code: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    arguments = ("--gap", "5", "--tokens", "150", "--header", "Cache-Control: max-age=60")
    pair = pair_of(_SERVERS[server], code, simulator, run_proxy, *arguments)
    durations: list[list[float]] = []
    for proxy in (pair.bad, pair.fixed):
        reports = [asyncio.run(check(proxy.url, path="/v1/stream")) for _ in range(2)]
        exchanges = [report.exchanges[0] for report in reports]
        durations.append([(one.ended_ns - (one.stamps.sent_ns or 0)) / 1e9 for one in exchanges])
    (bad_first, bad_second), (fixed_first, fixed_second) = durations
    assert bad_second < bad_first / 3
    assert fixed_second > fixed_first / 2


@pytest.mark.parametrize(("server", "code"), [("apache", "APA105"), ("nginx", "NGX110")])
def test_crash_looks_like_an_end_over_http_10(
    server: str, code: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    pair = pair_of(_SERVERS[server], code, simulator, run_proxy, *QUICK, "--die-after", "20")
    bad, fixed = (asyncio.run(check(proxy.url)) for proxy in (pair.bad, pair.fixed))
    assert bad.exchanges[0].ending is Ending.COMPLETE
    assert fixed.exchanges[0].ending is not Ending.COMPLETE


# httpd


def check_through_fastcgi(run_proxy: RunProxy, text: str) -> dict[str, Any]:
    with application_server("fastcgi") as origin:
        proxy = run_proxy(start_with_config, APACHE, text, origin=origin)
        report = asyncio.run(check(proxy.url))
        proxy.stop()
    return hop_json(report)


def test_fastcgi_holds_unless_packets_are_flushed(run_proxy: RunProxy) -> None:
    bad, fixed = rule_text("APA101", "bad"), rule_text("APA101", "fixed")
    auto = fixed.replace("flushpackets=on", "flushpackets=auto")
    assert auto != fixed
    for held in (bad, auto):
        assert check_through_fastcgi(run_proxy, held)["events_per_read"]["p50"] > 20
    assert check_through_fastcgi(run_proxy, fixed)["events_per_read"]["p50"] == 1


def test_x_accel_header_does_not_release_fastcgi(run_proxy: RunProxy) -> None:
    with_header = rule_text("APA202", "bad").replace(" flushpackets=on", "")
    assert check_through_fastcgi(run_proxy, with_header)["events_per_read"]["p50"] > 20


# nginx


def test_hold_is_as_large_as_the_buffer(simulator: StartSim, run_proxy: RunProxy) -> None:
    pair = pair_of(nginx.LIVE, "NGX106", simulator, run_proxy, *QUICK, "--tokens", "300")
    default = run_proxy(start_with_config, NGINX, rule_text("NGX101", "bad"), origin=pair.model.url)
    large, small = RunningPair(pair.model, pair.bad, default).measure()
    assert hop_json(large)["release_bytes"] == 4 * hop_json(small)["release_bytes"]


@pytest.mark.parametrize("protocol", ["uwsgi", "scgi", "fastcgi"])
def test_other_protocols_hold_and_stream_alike(protocol: str, run_proxy: RunProxy) -> None:
    verdicts = []
    with application_server(protocol) as origin:
        for kind in ("bad", "fixed"):
            text = rule_text("NGX109", kind).replace("uwsgi", protocol)
            proxy = run_proxy(start_with_config, NGINX, text, origin=origin)
            verdicts.append(hop_json(asyncio.run(check(proxy.url)))["verdict"])
    assert verdicts[0] in HELD
    assert verdicts[1] == "streaming"


def test_origin_is_not_notified_of_a_disconnect(simulator: StartSim, run_proxy: RunProxy) -> None:
    arguments = ("--ttft", "50", "--gap", "25", "--tokens", "100")
    pair = pair_of(nginx.LIVE, "NGX111", simulator, run_proxy, *arguments)

    async def cancel_both() -> list[Report]:
        return await asyncio.gather(
            *(check(proxy.url, beacon=True, cancel=True) for proxy in (pair.bad, pair.fixed))
        )

    bad, fixed = asyncio.run(cancel_both())
    assert "UD110" in codes_by_hop(bad)["edge"]
    assert "UD110" not in codes_by_hop(fixed).get("edge", set())


def test_x_accel_header_reaches_the_next_nginx(simulator: StartSim, run_proxy: RunProxy) -> None:
    arguments = (*QUICK, "--header", "X-Accel-Buffering: no")
    bad, fixed = pair_of(nginx.LIVE, "NGX112", simulator, run_proxy, *arguments).measure()
    assert head_of(bad).get("x-accel-buffering") is None
    assert head_of(fixed).get("x-accel-buffering") == "no"


def test_outer_nginx_holds_a_body_without_chunks(simulator: StartSim, run_proxy: RunProxy) -> None:
    inner = pair_of(nginx.LIVE, "NGX203", simulator, run_proxy, *QUICK)
    outer = [
        run_proxy(start_with_config, NGINX, rule_text("NGX102", "bad"), origin=one.url)
        for one in (inner.bad, inner.fixed)
    ]
    bad, fixed = inner.measure()
    assert "UD108" in {one.code for one in bad.findings}
    assert "UD108" not in {one.code for one in fixed.findings}
    bad, fixed = RunningPair(inner.model, outer[0], outer[1]).measure()
    IS_HELD.verify(bad)
    STREAMS.verify(fixed)


def test_stalled_reader_loses_its_stream(simulator: StartSim, run_proxy: RunProxy) -> None:
    arguments = ("--ttft", "0", "--gap", "1", "--tokens", "400", "--event-bytes", "100000")
    replace = ("timeout 5s", "timeout 1s")
    pair = pair_of(nginx.LIVE, "NGX402", simulator, run_proxy, *arguments, replace=replace)
    assert not read_with_pause(pair.bad.url, 3).endswith(b"0\r\n\r\n")
    assert read_with_pause(pair.fixed.url, 3).endswith(b"0\r\n\r\n")


def read_with_pause(url: str, pause_s: float) -> bytes:
    """Read a stream, pausing once after the first read; return its last bytes."""
    address = urlsplit(url)
    with socket.socket() as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        conn.settimeout(20)
        conn.connect((address.hostname, address.port))
        conn.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        last = conn.recv(4096)
        time.sleep(pause_s)
        with suppress(ConnectionResetError):
            while data := conn.recv(1 << 20):
                last = (last + data)[-64:]
    return last


# For ingress-nginx, nginx itself is tested, because the controller needs a cluster

_VALUES = {
    "proxy_http_version": "1.1",
    "proxy_buffer_size": "4k",
    "proxy_buffers": "4 4k",
    "proxy_read_timeout": "60s",
    "proxy_send_timeout": "60s",
    "proxy_connect_timeout": "5s",
}


def location(*lines: str) -> str:
    inside = " ".join(lines)
    return (
        "events {} http { server { listen 127.0.0.1:1; location / {"
        f" proxy_pass http://127.0.0.1:2; {inside} }} }} }}"
    )


@pytest.mark.parametrize("directive", sorted(WRITTEN_BY_CONTROLLER))
def test_nginx_rejects_a_duplicate_directive(directive: str, tmp_path: Path) -> None:
    line = f"{directive} {_VALUES.get(directive, 'off')};"
    accepted, output = validate_config(NGINX, location(line), tmp_path)
    assert accepted, output
    accepted, output = validate_config(NGINX, location(line, line), tmp_path)
    assert not accepted
    assert f'"{directive}" directive is duplicate' in output


def test_nginx_accepts_lines_that_a_snippet_may_add(tmp_path: Path) -> None:
    lines = ("proxy_set_header A b;", "proxy_set_header A b;", "chunked_transfer_encoding off;")
    accepted, output = validate_config(NGINX, location(*lines), tmp_path)
    assert accepted, output
