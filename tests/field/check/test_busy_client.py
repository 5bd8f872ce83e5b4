"""Case check/09: a busy client repeats the request; its caveats do not change the exit code."""

from __future__ import annotations

import socket

import pytest

import undam.diagnosis.findings.caveats
import undam.probe.check
from support.threaded_server import serving, stream
from support.undam_command import CompletedCommand, invoke

pytestmark = pytest.mark.slow  # streams several times


def check() -> tuple[CompletedCommand, int]:
    """Check a healthy stream; return the result and the number of requests sent."""

    def script(conn: socket.socket, _: bytes) -> None:
        stream(conn, 30)

    with serving(script) as server:
        ran = invoke("check", server.url(), "--model", "m", "--json", "--no-experiments")
    return ran, len(server.requests)


def test_a_calm_client_asks_once() -> None:
    ran, requests = check()
    assert (ran.code, requests) == (0, 1)


def test_a_busy_client_asks_again_at_most_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undam.probe.check, "LATE_NS", -1)
    ran, requests = check()
    assert (ran.code, ran.json["verdict"], requests) == (0, "streaming", 3)


def test_a_client_that_stays_busy_reports_it_with_exit_code_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (undam.probe.check, undam.diagnosis.findings.caveats):
        monkeypatch.setattr(module, "LATE_NS", -1)
    ran, _ = check()
    caveats = {one["code"]: one["severity"] for one in ran.json["findings"]}
    assert caveats["UD901"] == "info"
    assert (ran.code, ran.json["verdict"]) == (0, "streaming")


def test_a_clock_that_was_set_is_an_info_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undam.diagnosis.findings.caveats, "_STEP_NS", -1)
    ran, _ = check()
    assert {one["severity"] for one in ran.json["findings"] if one["code"] == "UD903"} == {"info"}
    assert ran.code == 0
