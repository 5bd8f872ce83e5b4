"""Schedules of real engines that emit several tokens per step, checked without a proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.undam_command import ListeningCommand, run_undam

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningCommand]:
    running = ListeningCommand("sim", log=tmp_path_factory.mktemp("sim") / "sim.log")
    try:
        yield running
    finally:
        running.stop()


# (tokens per step, time per step, tokens in the answer)
SCHEDULES = {
    "drafts of 16": ("uniform(9,17)", "uniform(50,70)", 150),
    "eight steps at once": ("8", "60", 123),
    "eight steps at once, with a full last one": ("8", "60", 128),
    "n-gram drafts of 64": ("uniform(1,65)", "60", 300),
    "a diffusion model": ("16", "100", 165),
    "a tick of 10 ms": ("10", "10.4", 504),
}


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_steps_of_an_engine_are_never_accused(simulator: ListeningCommand, name: str) -> None:
    burst, gap, tokens = SCHEDULES[name]
    query = f"ttft=100&gap={gap}&burst={burst}&tokens={tokens}"
    url = f"{simulator.url}/v1/chat/completions?{query}"
    report = run_undam("check", url, "--json", timeout_s=60).json
    accused = [one for one in report["findings"] if one["severity"] == "error"]
    assert not accused, accused
    assert report["verdict"] == "streaming", report["findings"]


def test_without_experiments_fixed_steps_are_unknown(simulator: ListeningCommand) -> None:
    url = f"{simulator.url}/v1/chat/completions?ttft=100&gap=60&burst=8&tokens=128"
    report = run_undam("check", url, "--no-experiments", "--json", timeout_s=60).json
    assert (report["verdict"], report["experiments"]) == ("unknown", [])
    (reason,) = [one["message"] for one in report["findings"] if one["code"] == "UD905"]
    assert "engine" in reason
