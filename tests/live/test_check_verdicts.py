"""`undam check` through real proxies: verdicts with and without a beacon, and exact hold times.

The expected verdicts were measured. Holds are compared with the simulator's ground truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from support.live import (
    RunProxy,
    Simulator,
    check,
    codes_by_hop,
    event_timings,
    hold_codes_by_hop,
    hop_json,
    lateness_ms,
    measure,
    proxies,
    quantile,
    skip_or_fail,
)
from undam.lab.proxies import (
    Missing,
    RunningProxy,
    start_apache,
    start_caddy,
    start_envoy,
    start_haproxy,
    start_lighttpd,
    start_nginx,
    start_node,
    start_squid,
    start_trafficserver,
    start_varnish,
)
from undam.probe import Report
from undam.rules import Fix

# The stream is short, because these checks send requests to several hops in turn.
QUICK = "/v1/chat/completions?gap=10"

STREAMING, BATCHED, LATE, TO_END = "streaming", "batched", "late", "held-to-end"


@dataclass(frozen=True)
class Case:
    """A proxy to check, and the expected results.

    Args:
        blamed: codes of the expected errors and warnings.
        signed: intermediaries that must be recognised.
        pattern: verdict without a beacon, if different: a stream that is one event late has the
            pattern of one that is not.
        release_bytes, release_every_ms: expected within 1 % and within 25 %.
    """

    start: Callable[..., RunningProxy]
    verdict: str
    blamed: frozenset[str] = frozenset()
    signed: tuple[str, ...] = ()
    pattern: str | None = None
    release: str | None = None
    release_bytes: int | None = None
    release_every_ms: float | None = None
    fix: Fix | None = None


def _nginx(location: str = "") -> Callable[..., RunningProxy]:
    return partial(start_nginx, location=location)


def _haproxy(options: str) -> Callable[..., RunningProxy]:
    return partial(start_haproxy, options=options)


NGINX, EXPRESS = ("nginx",), ("express",)
UNBUFFERED = Fix("nginx", "proxy_buffering off;")
GZIP = "gzip on;\ngzip_types text/event-stream;\ngzip_min_length 0;"
NO_DELAY = "option http-no-delay"
HAPROXY_GZIP = f"{NO_DELAY}\ncompression algo gzip\ncompression type text/event-stream"
IN_BLOCKS, WHOLE, COMPRESSED = frozenset({"UD102"}), frozenset({"UD101"}), frozenset({"UD106"})
COLLECTED = frozenset({"UD107"})
ONE_LATE = frozenset({"UD104"})

BLOCKS_OF_4K = partial(
    Case,
    verdict=BATCHED,
    blamed=IN_BLOCKS,
    signed=NGINX,
    release="size",
    release_bytes=4096,
    fix=UNBUFFERED,
)

CASES = {
    "nginx": BLOCKS_OF_4K(start_nginx),
    "nginx-request-header": BLOCKS_OF_4K(_nginx("proxy_set_header X-Accel-Buffering no;")),
    "nginx-1k": Case(
        _nginx("proxy_buffer_size 1k;\nproxy_buffers 8 1k;"),
        BATCHED,
        IN_BLOCKS,
        NGINX,
        release="size",
        release_bytes=1024,
        fix=UNBUFFERED,
    ),
    "nginx-unbuffered": Case(_nginx("proxy_buffering off;"), STREAMING, signed=NGINX),
    "nginx-http-1.1": Case(_nginx("proxy_http_version 1.1;"), STREAMING, signed=NGINX),
    "nginx-gzip": Case(
        _nginx(GZIP),
        TO_END,
        WHOLE | COMPRESSED,
        NGINX,
        release="end",
        fix=Fix("nginx", "proxy_buffering off;"),
    ),
    "nginx-gzip-unbuffered": Case(_nginx(f"{GZIP}\nproxy_buffering off;"), STREAMING, signed=NGINX),
    "haproxy": Case(
        start_haproxy,
        BATCHED,
        frozenset({"UD103"}),
        release="timer",
        release_every_ms=200,
        fix=Fix("haproxy, if that is in the path", NO_DELAY),
    ),
    "haproxy-no-delay": Case(_haproxy(NO_DELAY), STREAMING),
    "haproxy-gzip-no-delay": Case(
        _haproxy(HAPROXY_GZIP), LATE, ONE_LATE | COMPRESSED, pattern=STREAMING, release="next"
    ),
    "envoy": Case(start_envoy, STREAMING, signed=("envoy",)),
    "apache": Case(start_apache, STREAMING),
    "caddy": Case(start_caddy, STREAMING, signed=("caddy",)),
    "varnish": Case(start_varnish, STREAMING, signed=("varnish",)),
    "varnish-collecting": Case(
        partial(start_varnish, vcl_response="set beresp.do_stream = false;"),
        TO_END,
        WHOLE | COLLECTED,
        ("varnish",),
        release="end",
    ),
    "squid": Case(start_squid, STREAMING, signed=("squid",)),
    "lighttpd": Case(
        start_lighttpd,
        TO_END,
        WHOLE | COLLECTED,
        release="end",
        fix=Fix("lighttpd, if that is in the path", "server.stream-response-body"),
    ),
    "lighttpd-streaming": Case(partial(start_lighttpd, stream_response_body=1), STREAMING),
    "trafficserver": Case(start_trafficserver, STREAMING, signed=("trafficserver",)),
    "trafficserver-compress": Case(
        partial(start_trafficserver, compress_flush=False),
        TO_END,
        WHOLE | COMPRESSED,
        ("trafficserver",),
        release="end",
    ),
    "trafficserver-compress-flush": Case(
        partial(start_trafficserver, compress_flush=True), STREAMING, signed=("trafficserver",)
    ),
    "node-http-proxy": Case(partial(start_node, app="http-proxy"), STREAMING),
    "express-compression": Case(
        partial(start_node, app="compression"), TO_END, WHOLE | COMPRESSED, EXPRESS, release="end"
    ),
    "express-flush-before": Case(
        partial(start_node, app="compression-flush-before"),
        LATE,
        ONE_LATE | COMPRESSED,
        EXPRESS,
        pattern=STREAMING,
        release="next",
    ),
}


@dataclass(frozen=True)
class RequestResult:
    """Reports on one case, from concurrent checks with and without a beacon."""

    case: Case
    pattern: Report
    beacon: Report


class Bench:
    """Reports by case; cases are checked in groups of four, when a report is first needed.

    Each stream takes 3 s, so concurrent checks save time. Four proxies disturb each other less than
    the noise of the machine.
    """

    _AT_ONCE = 4

    def __init__(self, model: Simulator) -> None:
        self._model = model
        self._known: dict[str, RequestResult | Missing] = {}

    def measured(self, name: str, *, again: bool) -> RequestResult | Missing:
        if again:
            self._measure([name])
        elif name not in self._known:
            names = list(CASES)
            first = names.index(name) // self._AT_ONCE * self._AT_ONCE
            self._measure(names[first : first + self._AT_ONCE])
        return self._known[name]

    def _measure(self, names: Sequence[str]) -> None:
        with proxies() as start:
            urls: dict[str, str] = {}
            for name in names:
                try:
                    urls[name] = start(CASES[name].start, self._model.url).url
                except Missing as missing:
                    self._known[name] = missing
            reports = measure(
                self._model,
                lambda: [check(url, beacon=on) for url in urls.values() for on in (False, True)],
            )
        for index, name in enumerate(urls):
            self._known[name] = RequestResult(CASES[name], *reports[2 * index : 2 * index + 2])


@pytest.fixture(scope="module")
def bench(model: Simulator) -> Bench:
    return Bench(model)


@pytest.fixture(params=CASES)
def measured(request: pytest.FixtureRequest, bench: Bench) -> RequestResult:
    # A test is repeated if the machine was too busy; the repetition needs a new measurement.
    tried = getattr(request.node, "execution_count", 1)
    got = bench.measured(request.param, again=tried > 1)
    if isinstance(got, Missing):
        skip_or_fail(got)
    return got


def test_the_pattern_gives_the_verdict(measured: RequestResult) -> None:
    case, hop = measured.case, hop_json(measured.pattern)
    assert hop["verdict"] == (case.pattern or case.verdict)
    assert hop["hold_ms"] is None
    if case.pattern is None:
        _assert_release(case, hop)
        assert codes_by_hop(measured.pattern) == ({"edge": set(case.blamed)} if case.blamed else {})
    else:
        assert codes_by_hop(measured.pattern) == {}


def test_the_beacon_gives_the_same_verdict(measured: RequestResult) -> None:
    case, hop = measured.case, hop_json(measured.beacon)
    assert hop["verdict"] == case.verdict
    _assert_release(case, hop)
    assert codes_by_hop(measured.beacon) == ({"edge": set(case.blamed)} if case.blamed else {})


def test_the_holds_are_those_of_the_truth(measured: RequestResult, model: Simulator) -> None:
    (exchange,) = measured.beacon.exchanges
    came = event_timings(model, exchange)
    assert len(came) == 120
    assert all(one.at_ns >= one.left_ns for one in came), "an event arrived before it was sent"
    holds = [one.hold_ms for one in came]
    truth = {
        "first": holds[0],
        "p50": quantile(holds, 0.5),
        "p99": quantile(holds, 0.99),
        "max": max(holds),
    }
    told = hop_json(measured.beacon)["hold_ms"]
    assert told == {key: _close_to(ms) for key, ms in truth.items()}
    if measured.case.verdict is not STREAMING:
        # The hold must be caused by the proxy, not by a simulator that is late on a busy machine.
        assert truth["p50"] > 4 * quantile(lateness_ms(model, exchange), 0.5)


def test_who_signed_and_what_mends_it(measured: RequestResult) -> None:
    for report in (measured.pattern, measured.beacon):
        assert hop_json(report)["intermediaries"] == list(measured.case.signed)
        expected = measured.case.fix
        if expected is None or not hold_codes_by_hop(report):
            continue
        (held,) = [one for one in report.findings if one.code in hold_codes_by_hop(report)["edge"]]
        assert held.fix is not None
        assert held.fix.where == expected.where
        assert expected.text in held.fix.text


def _assert_release(case: Case, hop: dict[str, object]) -> None:
    assert hop["release"] == case.release
    if case.release_bytes is not None:
        assert hop["release_bytes"] == pytest.approx(case.release_bytes, rel=0.01)
    if case.release_every_ms is not None:
        assert hop["release_every_ms"] == pytest.approx(case.release_every_ms, rel=0.25)


def _close_to(ms: float) -> object:
    """Return a matcher for values within 10 % or 2 ms, whichever is larger."""
    return pytest.approx(ms, rel=0.1, abs=2.0)


class TestTwoNginx:
    """The origin sends X-Accel-Buffering. The inner nginx obeys this header and removes it."""

    def test_the_inner_eats_the_header_and_the_outer_holds(
        self, simulator: Callable[..., Simulator], run_proxy: RunProxy
    ) -> None:
        origin = simulator("--header", "X-Accel-Buffering: no")
        inner = run_proxy(start_nginx, origin.url)
        outer = run_proxy(start_nginx, inner.url)
        further_in = (("inner", inner.url), ("origin", origin.url))
        alone, hops = measure(
            origin,
            lambda: (
                check(outer.url, path=QUICK, beacon=True),
                check(outer.url, *further_in, path=QUICK),
            ),
        )
        for report in (alone, hops):
            assert hop_json(report)["verdict"] == BATCHED
            assert hop_json(report)["release_bytes"] == pytest.approx(4096, rel=0.01)
            assert hold_codes_by_hop(report) == {"edge": {"UD102"}}
        # On a busy machine, there may be too little evidence to call the inner hop healthy.
        assert hop_json(hops, "inner")["verdict"] in {STREAMING, "unknown"}
        assert [one.hop for one in hops.findings if one.code == "UD109"] == ["inner"]
        assert codes_by_hop(hops) == {"edge": {"UD102"}, "inner": {"UD109"}}

    def test_both_stream_when_the_inner_passes_the_header_on(
        self, simulator: Callable[..., Simulator], run_proxy: RunProxy
    ) -> None:
        origin = simulator("--header", "X-Accel-Buffering: no")
        passing = "proxy_pass_header X-Accel-Buffering;"
        inner = run_proxy(start_nginx, origin.url, location=passing)
        outer = run_proxy(start_nginx, inner.url)
        further_in = ("inner", inner.url)
        (report,) = measure(origin, lambda: (check(outer.url, further_in, path=QUICK),))
        assert hop_json(report)["verdict"] == STREAMING
        assert codes_by_hop(report) == {}


def test_one_event_late_shows_against_the_hop_behind_it(
    model: Simulator, run_proxy: RunProxy
) -> None:
    proxy = run_proxy(_haproxy(HAPROXY_GZIP), model.url)
    further_in, path = ("origin", model.url), "/v1/chat/completions?tokens=60"
    (report,) = measure(model, lambda: (check(proxy.url, further_in, path=path),))
    assert hop_json(report)["verdict"] == LATE
    assert hop_json(report, "origin")["verdict"] == STREAMING
    assert hold_codes_by_hop(report) == {"edge": {"UD104"}}


@pytest.mark.slow
def test_envoy_cuts_at_its_total_limit_what_it_streams(
    model: Simulator, run_proxy: RunProxy
) -> None:
    proxy = run_proxy(start_envoy, model.url)
    path = "/v1/chat/completions?tokens=800"
    for report in measure(
        model, lambda: (check(proxy.url, path=path, beacon=on) for on in (False, True))
    ):
        hop = hop_json(report)
        assert hop["verdict"] == STREAMING
        assert hop["complete"] is False
        # Envoy closes the client connection up to a second after it has stopped reading.
        assert 14.9 <= hop["cut_after_s"] <= 16.5
        assert codes_by_hop(report) == {"edge": {"UD404"}}
        (cut,) = [one for one in report.findings if one.code == "UD404"]
        assert cut.evidence["limit_s"] == 15
        assert cut.fix is not None
        assert cut.fix.where == "envoy"


@pytest.mark.parametrize(
    ("location", "verdict", "codes"),
    [("proxy_buffering off;", STREAMING, {}), ("", BATCHED, {"edge": {"UD102"}})],
    ids=["freed", "dammed"],
)
def test_twenty_streams_at_once(
    location: str,
    verdict: str,
    codes: dict[str, set[str]],
    model: Simulator,
    run_proxy: RunProxy,
) -> None:
    proxy = run_proxy(start_nginx, model.url, location=location)
    report = asyncio.run(check(proxy.url, beacon=True, streams=20))
    hop = hop_json(report)
    assert hop["streams"] == len(report.exchanges) == 20
    assert hop["verdict"] == verdict
    assert hold_codes_by_hop(report) == codes
    holds = [one.hold_ms for each in report.exchanges for one in event_timings(model, each)]
    assert len(holds) == 20 * 120
    told = hop["hold_ms"]
    assert told["p50"] == _close_to(quantile(holds, 0.5))
    assert told["p99"] == _close_to(quantile(holds, 0.99))
    assert told["max"] == _close_to(max(holds))
