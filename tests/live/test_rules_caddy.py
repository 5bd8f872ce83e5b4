"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live import RunProxy, codes_by_hop, hop_json
from support.proxy_programs import CADDY, validate_config
from support.rule_files import (
    KINDS,
    QUICK,
    SILENT,
    StartSim,
    check_bad_and_fixed,
    check_rendered,
    codes,
    completes,
    text_of,
    verdicts,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("CAD"))
def test_caddy_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(CADDY, text_of(code, kind), tmp_path)
    assert accepted, words


def test_caddy_refuses_nonsense(tmp_path: Path) -> None:
    accepted, words = validate_config(CADDY, ":8080 {\n    no_such_directive\n}\n", tmp_path)
    assert not accepted
    assert "no_such_directive" in words


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, CADDY, "caddy", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, CADDY, "caddy", model, idle_s=1.0)
    long = check_rendered(run_proxy, CADDY, "caddy", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


def test_buffered_responses_come_at_their_end(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, CADDY, "CAD101", simulator(*QUICK))
    assert verdicts(reports) == ("held-to-end", "streaming")


@pytest.mark.parametrize("formats", ["gzip", "zstd"])
def test_what_is_encoded_is_held(formats: str, simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*QUICK, "--event-bytes", "700")
    one = (("encode zstd gzip", f"encode {formats}"),)
    held, free = verdicts(check_bad_and_fixed(run_proxy, CADDY, "CAD102", model, shorter=one))
    assert held in {"batched", "held-to-end"}
    assert free == "streaming"


def test_an_interval_changes_nothing(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, CADDY, "CAD201", simulator(*QUICK))
    assert verdicts(reports) == ("streaming", "streaming")


def test_the_header_of_nginx_frees_nothing(simulator: StartSim, run_proxy: RunProxy) -> None:
    dam = (("/v1/* 127.0.0.1:9000\n", "/v1/* 127.0.0.1:9000 {\n buffer_responses\n}\n"),)
    reports = check_bad_and_fixed(run_proxy, CADDY, "CAD202", simulator(*QUICK), shorter=dam)
    assert verdicts(reports) == ("held-to-end", "held-to-end")


@pytest.mark.parametrize("heartbeat", ["0", "0.3"])
def test_a_silence_longer_than_the_limit_is_a_cut(
    heartbeat: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    shorter = (("read_timeout 10s", "read_timeout 1s"),)
    model = simulator(*SILENT, "--heartbeat", heartbeat)
    reports = check_bad_and_fixed(run_proxy, CADDY, "CAD401", model, shorter=shorter)
    assert completes(reports) == (heartbeat != "0", True)


def test_a_total_limit_cuts_whatever_is_sent(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT, "--heartbeat", "0.3")
    reports = check_bad_and_fixed(
        run_proxy, CADDY, "CAD402", model, shorter=(("write 30s", "write 1s"),)
    )
    assert completes(reports) == (False, True)
