"""`undam check --beacon` with Beacon in Starlette, directly and behind nginx, and `undam sim`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.asgi_server_processes import (
    UVICORN_ASYNCIO,
    UVICORN_UVLOOP,
    RunningServer,
    Server,
    serving,
)
from support.beacon_app import TOKEN
from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, quantile
from support.undam_command import run_undam
from undam.diagnosis.holds import ClockOffset, holds_by_beacon
from undam.diagnosis.reading import read_exchange
from undam.errors import UndamError
from undam.lab.proxies import start_nginx
from undam.probe import Report, report_json

PATH = "/_undam/"
HEADERS = (("Authorization", f"Bearer {TOKEN}"),)
IGNORING = "proxy_ignore_headers X-Accel-Buffering;"


@pytest.fixture(
    scope="module", params=[UVICORN_UVLOOP, UVICORN_ASYNCIO], ids=lambda server: server.name
)
def mounted(request: pytest.FixtureRequest) -> Iterator[str]:
    server: Server = request.param
    with serving(server, "support.beacon_app:app") as running:
        yield _url(running)


@pytest.fixture(scope="module")
def holdable() -> Iterator[str]:
    """Run the server with h11, which does not send chunks to HTTP/1.0 clients such as nginx.

    uvicorn's other parser sends chunks to it, and nginx forwards each as it arrives.
    """
    server = Server("uvicorn-h11", UVICORN_UVLOOP.command.replace("{app}", "--http h11 {app}"))
    with serving(server, "support.beacon_app:app") as running:
        yield _url(running)


def _url(running: RunningServer) -> str:
    return f"http://127.0.0.1:{running.port}"


def _check(url: str, path: str = PATH, **options: Any) -> Report:
    return asyncio.run(check(url, path=path, beacon=True, headers=HEADERS, **options))


def test_the_command_of_the_documentation(mounted: str) -> None:
    done = run_undam(
        *("check", mounted + PATH, "--beacon", "--idle", "3", "--cancel"),
        *("-H", f"Authorization: Bearer {TOKEN}", "--json"),
    )
    report = json.loads(done.out)
    assert report["verdict"] == "streaming", done.out
    assert report["hops"][0]["events"] == 120
    assert report["hops"][0]["complete"] is True
    assert report["limits"]["tried_s"] == 3
    assert report["limits"]["idle_s"] is report["limits"]["total_s"] is None
    assert report["limits"]["heartbeats_arrive"] is True
    assert len(report["cancel"]) == 2
    for leaving in report["cancel"]:
        assert leaving["seen_after_ms"] is not None
        # The application alone would detect the disconnect only at its next write.
        assert leaving["seen_after_ms"] < 1000
    assert TOKEN not in done.out + done.err
    loud = {one["code"] for one in report["findings"] if one["severity"] != "info"}
    assert {code for code in loud if not code.startswith("UD9")} == set()


def test_nginx_does_not_buffer_because_of_the_header(mounted: str, run_proxy: RunProxy) -> None:
    report = _check(run_proxy(start_nginx, mounted).url, idle_s=1.0, cancel=True)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert all(one.seen_after_ms is not None for one in report.disconnects)


def test_an_nginx_that_ignores_the_header_is_detected(holdable: str, run_proxy: RunProxy) -> None:
    proxy = run_proxy(start_nginx, holdable, location=IGNORING)
    report = _check(proxy.url)
    hop = hop_json(report)
    assert hop["verdict"] == "batched"
    assert codes_by_hop(report) == {"edge": {"UD102"}}
    # A 4 KB block contains about 20 events, 25 ms apart, and its first event waits for the last
    # one.
    assert 300 < hop["hold_ms"]["max"] < 900


def test_a_missing_token_is_reported(mounted: str) -> None:
    done = run_undam("check", mounted + PATH, "--beacon")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    with pytest.raises(UndamError):
        asyncio.run(check(mounted, path=PATH, headers=(("Undam-Token", "wrong"),)))
    right = (("Undam-Token", TOKEN),)
    report = asyncio.run(check(mounted, path=PATH, beacon=True, headers=right))
    assert hop_json(report)["verdict"] == "streaming"


@pytest.mark.parametrize("location", [None, "", IGNORING], ids=["direct", "nginx", "nginx-holds"])
def test_holds_equal_those_measured_with_the_simulator(
    holdable: str,
    simulator: Callable[..., Simulator],
    run_proxy: RunProxy,
    location: str | None,
) -> None:
    # Event size and headers are equal; only the programs that send the events differ.
    model = simulator("--event-bytes", "200", "--header", "X-Accel-Buffering: no")

    def place(url: str) -> str:
        return url if location is None else run_proxy(start_nginx, url, location=location).url

    beacon_url, model_url = place(holdable), place(model.url)

    async def both() -> tuple[Report, Report]:
        return await asyncio.gather(
            check(beacon_url, path=PATH, beacon=True, headers=HEADERS),
            check(model_url, path="/sse", beacon=True),
        )

    differences = []
    for _ in range(3):
        beacon, simulated = asyncio.run(both())
        assert hop_json(beacon)["verdict"] == hop_json(simulated)["verdict"]
        ours, theirs = _median_hold_ms(beacon), _median_hold_ms(simulated)
        differences.append(abs(ours - theirs) - 0.1 * theirs)
        if differences[-1] <= 2:
            break
    # The best of three runs counts, because other processes may use the CPU.
    assert min(differences) <= 2, differences


def _median_hold_ms(report: Report) -> float:
    (exchange,) = report.exchanges
    holds = holds_by_beacon(read_exchange(exchange), report.offset or ClockOffset())
    assert len(holds) == 120
    return quantile((one.hold_ns / 1e6 for one in holds), 0.5)


def test_the_report_names_the_beacon(mounted: str) -> None:
    report = report_json(_check(mounted))
    assert isinstance(report["beacon"], dict)
    assert report["beacon"]["offset_ms"] == 0
