"""The rules of Traefik on Traefik: it takes every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed.

Traefik has no check of its own, so a file is accepted when its routers answer and nothing is said
in the log.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, measure
from support.proxy_programs import Program, start_with_config
from undam.errors import ResponseError
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report

RULES = Path(__file__).parents[1] / "rules"
CODES = sorted(path.name for path in RULES.glob("TRF*"))
QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "300")
READY_S = 15.0

StartSim = Callable[..., Simulator]
StartOne = Callable[..., RunningProxy]


def program(suffix: str) -> Program:
    name = f"traefik{suffix}"
    run = (f"--configFile={name}",)
    return Program(name="traefik", config_name=name, check=(), run=run, version_flag="version")


def routed(proxy: RunningProxy) -> bool:
    """Whether the dynamic part is there, which Traefik reads after it has begun to listen."""
    place = urlsplit(proxy.url)
    give_up = time.monotonic() + READY_S
    while time.monotonic() < give_up:
        conn = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
        try:
            conn.request("GET", "/v1/chat/completions")
            if conn.getresponse().status != 404:
                return True
        finally:
            conn.close()
        time.sleep(0.05)
    return False


@pytest.fixture
def traefik(run_proxy: RunProxy) -> StartOne:
    """Traefik with a rule's file, and a limit in it made shorter."""

    def run(
        code: str, kind: str, model: Simulator, shorter: tuple[str, str] = ("", "")
    ) -> RunningProxy:
        (file,) = (RULES / code).glob(f"{kind}.*")
        text = file.read_text("utf-8")
        assert kind != "bad" or shorter[0] in text
        kind_of_file = program(file.suffix)
        proxy = run_proxy(start_with_config, kind_of_file, text.replace(*shorter), origin=model.url)
        assert routed(proxy), proxy.log()
        return proxy

    return run


def both(model: Simulator, pair: tuple[RunningProxy, RunningProxy]) -> tuple[Report, Report]:
    bad, fixed = measure(model, lambda: [check(proxy.url, beacon=True) for proxy in pair])
    return bad, fixed


@pytest.mark.parametrize("code", CODES)
def test_traefik_takes_the_files(code: str, model: Simulator, traefik: StartOne) -> None:
    for kind in ("bad", "good", "fixed"):
        log = traefik(code, kind, model).log()
        assert "ERR" not in log, log


def test_traefik_refuses_nonsense(run_proxy: RunProxy, model: Simulator) -> None:
    text = (RULES / "TRF101" / "good.yaml").read_text("utf-8")
    wrong = text.replace("customRequestHeaders", "noSuchField")
    assert wrong != text
    proxy = run_proxy(start_with_config, program(".yaml"), wrong, origin=model.url)
    time.sleep(1)
    assert "noSuchField" in proxy.log()


@pytest.mark.parametrize("code", ["TRF101", "TRF201"])
def test_bad_holds_and_fixed_streams(code: str, simulator: StartSim, traefik: StartOne) -> None:
    model = simulator(*QUICK)
    pair = (traefik(code, "bad", model), traefik(code, "fixed", model))
    bad, fixed = both(model, pair)
    assert hop_json(bad)["verdict"] == "held-to-end"
    assert hop_json(fixed)["verdict"] == "streaming"


def test_compression_flushes_each_event_and_an_excluded_type_is_left_alone(
    simulator: StartSim, traefik: StartOne
) -> None:
    model = simulator(*QUICK)
    bad, fixed = both(model, (traefik("TRF102", "bad", model), traefik("TRF102", "fixed", model)))
    assert {hop_json(one)["verdict"] for one in (bad, fixed)} == {"streaming"}
    codings = [one.exchanges[0].head.get("content-encoding") for one in (bad, fixed)]  # type: ignore[union-attr]
    assert codings == ["gzip", None]


def test_an_interval_between_flushes_changes_nothing(
    simulator: StartSim, traefik: StartOne
) -> None:
    model = simulator(*QUICK)
    bad, fixed = both(model, (traefik("TRF202", "bad", model), traefik("TRF202", "fixed", model)))
    assert {hop_json(one)["verdict"] for one in (bad, fixed)} == {"streaming"}


def test_write_timeout_cuts_a_lively_stream_and_read_timeout_does_not(
    simulator: StartSim, traefik: StartOne
) -> None:
    model = simulator("--ttft", "50", "--gap", "50", "--tokens", "60")
    # The file's readTimeout is made shorter, too.
    pair = (
        traefik("TRF401", "bad", model, ("30s", "1s")),
        traefik("TRF401", "fixed", model, ("30s", "1s")),
    )
    bad, fixed = both(model, pair)
    assert hop_json(bad)["complete"] is False
    assert hop_json(fixed)["complete"] is True


def test_a_late_head_is_given_up(simulator: StartSim, traefik: StartOne) -> None:
    model = simulator("--ttft", "2000", "--gap", "5", "--tokens", "20", "--headers-late")
    bad = traefik("TRF402", "bad", model, ('"10s"', '"300ms"'))
    fixed = traefik("TRF402", "fixed", model)
    with pytest.raises(ResponseError, match="504"):
        asyncio.run(check(bad.url))
    assert hop_json(asyncio.run(check(fixed.url)))["complete"] is True


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    model = simulator(*QUICK)

    def text(place: Workspace) -> str:
        listen = f"127.0.0.1:{place.port}"
        request = RenderRequest(upstream=model.url, path=path, listen=listen)
        return dialect_named("traefik").render(request)

    proxy = run_proxy(start_with_config, program(".yaml"), text)
    assert routed(proxy), proxy.log()
    (report,) = measure(model, lambda: [check(proxy.url, beacon=True)])
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert "ERR" not in proxy.log()
