"""Every stream format over HTTP: an undelayed stream is `streaming`, whatever its type and path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support.undam_command import ListeningCommand
from undam.diagnosis.hop import hop_metrics
from undam.probe import CheckOptions, Place, Report, run_check
from undam.rules import Verdict
from undam.simulator.apis.forms import FORMS

TTFT_MS = 200.0


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningCommand]:
    running = ListeningCommand("sim", log=tmp_path_factory.mktemp("sim") / "sim.log")
    try:
        yield running
    finally:
        running.stop()


def _check(simulator: ListeningCommand, path: str, query: str = "") -> Report:
    url = f"{simulator.url}{path}?ttft={TTFT_MS}&gap=20&tokens=40{query}"
    # A request to an application: a POST with a custom body to a path of no known API.
    options = CheckOptions(places=(Place("edge", url),), data=b"{}", method="POST")
    return asyncio.run(run_check(options))


@pytest.mark.parametrize("path", sorted(FORMS))
def test_healthy_stream_of_any_form_is_streaming(simulator: ListeningCommand, path: str) -> None:
    for _ in range(3):  # Other load on the machine may delay a stream.
        report = _check(simulator, path)
        (hop,) = report.hops
        if hop.shape.verdict is Verdict.STREAMING:
            break
    assert hop.shape.verdict is Verdict.STREAMING, hop.shape
    found = {one.code for one in report.findings if one.code < "UD9"}
    assert found <= {"UD112", "UD202", "UD501"}, "each span of HTML is two words"
    metrics = hop_metrics(hop)
    ttft_ms = metrics["ttft_ms"]
    assert isinstance(ttft_ms, float)
    assert 0.9 * TTFT_MS <= ttft_ms <= 2 * TTFT_MS
    assert metrics["complete"] is True


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain"])
@pytest.mark.parametrize("path", ["/forms/ollama", "/ndjson", "/forms/json-seq"])
def test_json_lines_are_recognised_under_any_type(
    simulator: ListeningCommand, path: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("typed")
    typed = ListeningCommand("sim", "--header", f"Content-Type: {kind}", log=folder / "sim.log")
    try:
        report = _check(typed, path)
    finally:
        typed.stop()
    assert report.hops[0].shape.verdict is Verdict.STREAMING
    assert not [one for one in report.findings if one.code == "UD205"]


def test_cut_of_a_known_form_is_found(simulator: ListeningCommand) -> None:
    for form in ("vercel-ui", "ag-ui", "cohere", "gemini-array"):
        report = _check(simulator, f"/forms/{form}", "&die_after=30&framing=close")
        assert {"UD601", "UD602"} & {one.code for one in report.findings}, form
