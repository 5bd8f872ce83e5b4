"""The rules of Envoy on Envoy: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, measure
from support.proxy_programs import (
    ENVOY,
    LISTEN_PORT,
    ORIGIN_PORT,
    start_with_config,
    validate_config,
)
from undam.errors import ResponseError
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report

RULES = Path(__file__).parents[1] / "rules"
CODES = sorted(path.name for path in RULES.glob("ENV*"))
QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "300")
# Limits of Envoy cut up to a second late.
SECONDS = ("--ttft", "50", "--gap", "50", "--tokens", "80")
SILENT = ("--gap", "5", "--tokens", "30", "--stall-after", "20", "--stall", "4000")

StartSim = Callable[..., Simulator]
StartOne = Callable[..., RunningProxy]


def text_of(code: str, kind: str) -> str:
    (file,) = (RULES / code).glob(f"{kind}.*")
    return file.read_text("utf-8")


@pytest.fixture
def envoy(run_proxy: RunProxy) -> StartOne:
    """Envoy with a rule's file, and a limit in it made shorter."""

    def run(
        code: str, kind: str, model: Simulator, shorter: tuple[str, str] = ("", "")
    ) -> RunningProxy:
        text = text_of(code, kind)
        assert kind != "bad" or shorter[0] in text
        origin = model.url.rpartition(":")[2]

        def placed(place: Workspace) -> str:
            ported = text.replace(*shorter).replace(f": {LISTEN_PORT}", f": {place.port}")
            return ported.replace(f": {ORIGIN_PORT}", f": {origin}")

        return run_proxy(start_with_config, ENVOY, placed)

    return run


def all_at_once(model: Simulator, *proxies: RunningProxy) -> list[Report]:
    return measure(model, lambda: [check(proxy.url, beacon=True) for proxy in proxies])


@pytest.mark.parametrize("kind", ["bad", "good", "fixed"])
@pytest.mark.parametrize("code", CODES)
def test_envoy_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(ENVOY, text_of(code, kind), tmp_path)
    assert accepted, words


def test_envoy_refuses_nonsense(tmp_path: Path) -> None:
    accepted, words = validate_config(ENVOY, "static_resources: {no_such_field: 1}", tmp_path)
    assert not accepted
    assert "no_such_field" in words


@pytest.mark.parametrize("code", ["ENV101", "ENV102", "ENV103", "ENV104"])
def test_bad_holds_and_fixed_streams(code: str, simulator: StartSim, envoy: StartOne) -> None:
    model = simulator(*QUICK)
    pair = (envoy(code, "bad", model), envoy(code, "fixed", model))
    bad, fixed = all_at_once(model, *pair)
    assert hop_json(bad)["verdict"] == "held-to-end"
    assert hop_json(fixed)["verdict"] == "streaming"


def test_gzip_is_flushed_after_each_event(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator(*QUICK)
    pair = (envoy("ENV105", "bad", model), envoy("ENV105", "fixed", model))
    bad, fixed = all_at_once(model, *pair)
    assert {hop_json(one)["verdict"] for one in (bad, fixed)} == {"streaming"}
    codings = [one.exchanges[0].head.get("content-encoding") for one in (bad, fixed)]  # type: ignore[union-attr]
    assert codings == ["gzip", None]


def test_a_route_without_a_timeout_is_cut_after_15_s(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator("--ttft", "50", "--gap", "100", "--tokens", "175", "--heartbeat", "1")
    pair = (envoy("ENV401", "bad", model), envoy("ENV401", "fixed", model))
    bad, fixed = all_at_once(model, *pair)
    assert hop_json(bad)["complete"] is False
    assert 14 < hop_json(bad)["cut_after_s"] < 17
    assert hop_json(fixed)["complete"] is True


def test_limits_on_age_cut_a_lively_stream(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator(*SECONDS)
    cases = {"ENV402": ("30s", "1s"), "ENV403": ("300s", "1s")}
    bad = [envoy(code, "bad", model, shorter) for code, shorter in cases.items()]
    fixed = [envoy(code, "fixed", model, shorter) for code, shorter in cases.items()]
    reports = all_at_once(model, *bad, *fixed)
    assert [hop_json(one)["complete"] for one in reports] == [False, False, True, True]


def test_limits_on_silence_cut_a_silent_stream(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator(*SILENT)
    cases = {"ENV404": ("10s", "1s"), "ENV405": ("20s", "1s")}
    bad = [envoy(code, "bad", model, shorter) for code, shorter in cases.items()]
    fixed = [envoy(code, "fixed", model, shorter) for code, shorter in cases.items()]
    reports = all_at_once(model, *bad, *fixed)
    assert [hop_json(one)["complete"] for one in reports] == [False, False, True, True]


def test_heartbeats_keep_a_silent_stream_alive(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator(*SILENT, "--heartbeat", "0.5")
    (report,) = all_at_once(model, envoy("ENV404", "bad", model, ("10s", "1s")))
    assert hop_json(report)["complete"] is True


def test_a_late_head_is_given_up(simulator: StartSim, envoy: StartOne) -> None:
    model = simulator("--ttft", "2500", "--gap", "5", "--tokens", "20", "--headers-late")
    bad = envoy("ENV406", "bad", model, ("3s", "0.3s"))
    fixed = envoy("ENV406", "fixed", model)
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
        return dialect_named("envoy").render(request)

    (report,) = all_at_once(model, run_proxy(start_with_config, ENVOY, text))
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
