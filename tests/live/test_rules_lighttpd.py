"""The rules on the real program: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live import RunProxy, codes_by_hop, hop_json
from support.proxy_programs import LIGHTTPD, validate_config
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


def on_ports(text: str, listen: int, origin: int) -> str:
    text = text.replace("server.port = 8080", f"server.port = {listen}")
    return text.replace('"port" => 9000', f'"port" => {origin}')


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", codes("LTD"))
def test_lighttpd_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(LIGHTTPD, text_of(code, kind), tmp_path)
    assert accepted, words


def test_lighttpd_refuses_nonsense(tmp_path: Path) -> None:
    accepted, _ = validate_config(LIGHTTPD, "no such thing", tmp_path)
    assert not accepted


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    report = check_rendered(run_proxy, LIGHTTPD, "lighttpd", simulator(*QUICK), path=path)
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


def test_the_rendered_limit_lets_a_silence_pass(simulator: StartSim, run_proxy: RunProxy) -> None:
    model = simulator(*SILENT)
    short = check_rendered(run_proxy, LIGHTTPD, "lighttpd", model, idle_s=1.0)
    long = check_rendered(run_proxy, LIGHTTPD, "lighttpd", model, idle_s=60.0)
    assert completes((short, long)) == (False, True)


def test_by_default_it_holds_to_the_end(simulator: StartSim, run_proxy: RunProxy) -> None:
    reports = check_bad_and_fixed(run_proxy, LIGHTTPD, "LTD101", simulator(*QUICK), ports=on_ports)
    assert verdicts(reports) == ("held-to-end", "streaming")


def test_the_header_of_nginx_frees_nothing(simulator: StartSim, run_proxy: RunProxy) -> None:
    held = (("    server.stream-response-body = 1\n", ""),)
    model = simulator(*QUICK)
    reports = check_bad_and_fixed(
        run_proxy, LIGHTTPD, "LTD201", model, shorter=held, ports=on_ports
    )
    assert verdicts(reports) == ("held-to-end", "held-to-end")


@pytest.mark.parametrize(
    ("code", "limit"),
    [("LTD401", "server.max-write-idle = "), ("LTD402", '"read-timeout" => ')],
)
def test_a_silence_longer_than_the_limit_is_a_cut(
    code: str, limit: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    shorter = ((f"{limit}10", f"{limit}1"),)
    # It looks once a second whether more than a whole second has passed: up to three seconds.
    silent = simulator(*SILENT, "--stall", "4000")
    reports = check_bad_and_fixed(
        run_proxy, LIGHTTPD, code, silent, shorter=shorter, ports=on_ports
    )
    assert completes(reports) == (False, True)
