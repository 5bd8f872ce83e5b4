"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live import RunProxy, codes_by_hop, hop_json
from support.proxy_programs import HAPROXY, validate_config
from support.rule_files import (
    KINDS,
    QUICK,
    SILENT,
    SLOW,
    StartSim,
    check_bad_and_fixed,
    check_rendered,
    codes,
    completes,
    text_of,
    verdicts,
)
from undam.errors import ResponseError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("HAP"))
def test_haproxy_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(HAPROXY, text_of(code, kind), tmp_path)
    assert accepted, words


def test_haproxy_refuses_nonsense(tmp_path: Path) -> None:
    accepted, _ = validate_config(HAPROXY, "no such thing", tmp_path)
    assert not accepted


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, HAPROXY, "haproxy", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, HAPROXY, "haproxy", model, idle_s=1.0)
    long = check_rendered(run_proxy, HAPROXY, "haproxy", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


def test_without_the_option_the_kernel_holds(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, HAPROXY, "HAP101", simulator(*QUICK))
    assert verdicts(reports) == ("batched", "streaming")
    assert "UD103" in codes_by_hop(reports[0])["edge"]


@pytest.mark.parametrize("code", ["HAP102", "HAP103"])
def test_compression_is_one_event_late(code: str, simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, HAPROXY, code, simulator(*SLOW))
    assert verdicts(reports) == ("late", "streaming")


def test_an_awaited_body_is_held_to_its_end(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, HAPROXY, "HAP104", simulator(*SLOW))
    assert verdicts(reports) == ("held-to-end", "streaming")


def test_a_body_that_is_not_awaited_long_enough_is_a_504(
    simulator: StartSim, run_proxy: RunProxy
) -> None:
    with pytest.raises(ResponseError, match="504"):
        check_bad_and_fixed(
            run_proxy, HAPROXY, "HAP104", simulator(*SLOW), shorter=(("time 10s", "time 300ms"),)
        )


def test_the_timeout_of_tunnels_saves_no_stream(simulator: StartSim, run_proxy: RunProxy) -> None:
    shorter = (("timeout server 50s", "timeout server 1s"),)
    reports = check_bad_and_fixed(run_proxy, HAPROXY, "HAP201", simulator(*SILENT), shorter=shorter)
    assert completes(reports) == (False, True)


def test_a_silence_longer_than_the_limit_is_a_cut(simulator: StartSim, run_proxy: RunProxy) -> None:
    shorter = (("timeout server 10s", "timeout server 1s"),)
    reports = check_bad_and_fixed(run_proxy, HAPROXY, "HAP401", simulator(*SILENT), shorter=shorter)
    assert completes(reports) == (False, True)
