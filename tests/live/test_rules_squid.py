"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live import RunProxy, codes_by_hop, hop_json
from support.proxy_programs import SQUID, validate_config
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


def on_ports(text: str, _listen: int, origin: int) -> str:
    return text.replace("parent 9000", f"parent {origin}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("SQD"))
def test_squid_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(SQUID, text_of(code, kind), tmp_path)
    assert accepted, words


def test_squid_refuses_nonsense(tmp_path: Path) -> None:
    accepted, _ = validate_config(SQUID, "no such thing", tmp_path)
    assert not accepted


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, SQUID, "squid", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, SQUID, "squid", model, idle_s=1.0)
    long = check_rendered(run_proxy, SQUID, "squid", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


def test_a_delay_pool_makes_bursts(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator("--ttft", "50", "--gap", "10", "--tokens", "60")
    reports = check_bad_and_fixed(run_proxy, SQUID, "SQD101", model, ports=on_ports)
    assert verdicts(reports)[1] == "streaming"
    bad, fixed = (hop_json(report)["hold_ms"]["max"] for report in reports)
    assert bad > 10 * max(fixed, 10)


def test_a_silence_longer_than_the_limit_is_a_cut(simulator: StartSim, run_proxy: RunProxy) -> None:
    shorter = (("read_timeout 20 seconds", "read_timeout 1 second"),)
    model = simulator(*SILENT)
    reports = check_bad_and_fixed(
        run_proxy, SQUID, "SQD401", model, shorter=shorter, ports=on_ports
    )
    assert completes(reports) == (False, True)


def test_heartbeats_move_no_lifetime(simulator: StartSim, run_proxy: RunProxy) -> None:
    shorter = (("client_lifetime 10 minutes", "client_lifetime 2 seconds"),)
    model = simulator(*SILENT, "--heartbeat", "0.3")
    reports = check_bad_and_fixed(
        run_proxy, SQUID, "SQD402", model, shorter=shorter, ports=on_ports
    )
    assert completes(reports) == (False, True)


def test_a_long_answer_is_cut_by_its_size(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, SQUID, "SQD403", simulator(*QUICK), ports=on_ports)
    assert completes(reports) == (False, True)
