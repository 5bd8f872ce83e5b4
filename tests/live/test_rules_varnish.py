"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live import RunProxy, codes_by_hop, hop_json
from support.proxy_programs import VARNISH, validate_config
from support.rule_files import (
    KINDS,
    QUICK,
    SILENT,
    StartSim,
    check_alone,
    check_bad_and_fixed,
    check_rendered,
    codes,
    completes,
    start_file,
    text_of,
    verdicts,
)
from undam.errors import ResponseError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("VRN"))
def test_varnish_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(VARNISH, text_of(code, kind), tmp_path)
    assert accepted, words


def test_varnish_refuses_nonsense(tmp_path: Path) -> None:
    accepted, _ = validate_config(VARNISH, "no such thing", tmp_path)
    assert not accepted


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, VARNISH, "varnish", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, VARNISH, "varnish", model, idle_s=1.0)
    long = check_rendered(run_proxy, VARNISH, "varnish", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


@pytest.mark.parametrize("code", ["VRN101", "VRN102", "VRN103"])
def test_flags_of_the_response_hold_it_to_its_end(
    code: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    reports = check_bad_and_fixed(run_proxy, VARNISH, code, simulator(*QUICK))
    assert verdicts(reports) == ("held-to-end", "streaming")


def test_a_limit_that_is_set_with_the_response_comes_too_late(
    simulator: StartSim, run_proxy: RunProxy
) -> None:
    backend = '.host = "127.0.0.1:9000";'
    shorter = ((backend, f"{backend} .between_bytes_timeout = 1s;"),)
    reports = check_bad_and_fixed(run_proxy, VARNISH, "VRN201", simulator(*SILENT), shorter=shorter)
    assert completes(reports) == (False, True)


def test_a_silence_longer_than_the_limit_is_a_cut(simulator: StartSim, run_proxy: RunProxy) -> None:
    shorter = (("timeout = 20s", "timeout = 1s"),)
    reports = check_bad_and_fixed(run_proxy, VARNISH, "VRN401", simulator(*SILENT), shorter=shorter)
    assert completes(reports) == (False, True)


def test_a_late_first_byte_is_a_503(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator("--ttft", "2500", "--gap", "5", "--tokens", "30", "--headers-late")
    bad = text_of("VRN402", "bad").replace("timeout = 20s", "timeout = 1s")
    with pytest.raises(ResponseError, match="503"):
        check_alone(start_file(run_proxy, VARNISH, bad, model).url)
    fixed = check_alone(start_file(run_proxy, VARNISH, text_of("VRN402", "fixed"), model).url)
    assert hop_json(fixed)["complete"] is True
