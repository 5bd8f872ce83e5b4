"""Outcome of one step of a search, and the text about the search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from support.load_test_model import simulate
from undam.cli.commands.bench.arguments import Step
from undam.cli.commands.bench.result import BenchResult
from undam.cli.commands.bench.text import print_search
from undam.cli.ui.console import SafeConsole
from undam.loadtest.coordinator.run import RunResult
from undam.loadtest.coordinator.search import CapacitySearch
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.plan import Load
from undam.loadtest.setup.slo import parse_slo
from undam.loadtest.setup.slo_values import slo_result
from undam.metrics import LoadGeneratorStats, summarize
from undam.metrics.validity.asked import RequestedLoad
from undam.record import Outcome


def step(failed: int, kind: str, message: str = "") -> BenchResult:
    """Return a step of 100 requests, of which ``failed`` failed."""
    results = [
        replace(one, outcome=Outcome.ERROR, kind=kind, message=message, reads=())
        if one.number < failed
        else one
        for one in simulate(100, ttft=lambda _: 100.0, events=lambda _: 4)
    ]
    summary, slo = summarize(results), parse_slo("ttft_p99<1s")
    return BenchResult(
        step=Step("160/s", Load(rate=160.0)),
        setup=cast("Any", None),
        run_result=RunResult(start_ns=0, ended_ns=1),
        summary=summary,
        slos=(slo_result(slo, summary, Goodput([slo]), RequestedLoad()),),
        client=LoadGeneratorStats(),
        hop="target",
        good_percent=None,
        about={"concurrency": 10, "workers": 1},
    )


@pytest.mark.parametrize(
    ("failed", "kind", "met", "doubtful"),
    [
        (20, "local-limit", False, True),
        (20, "status-429", False, False),
        (1, "local-limit", True, False),
        (0, "", True, False),
    ],
)
def test_limit_of_this_machine_is_not_a_limit_of_the_server(
    failed: int, kind: str, met: bool, doubtful: bool
) -> None:
    outcome = step(failed, kind).outcome(is_failing=failed >= 10)
    assert (outcome.met, outcome.doubtful) == (met, doubtful)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("local-limit", "stopped at 160/s: requests failed because out of files; the highest load"),
        ("status-429", "stopped at 160/s: delays of the load generator could have changed"),
    ],
)
def test_search_states_why_it_stopped(
    kind: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undam.cli.commands.bench.text.print_steps", lambda *_: None)
    search = CapacitySearch(160.0, stopped_by_client=True)
    for interrupted in (False, True):
        result = step(20, kind, "out of files")
        print_search(search, [result], SafeConsole(), interrupted=interrupted)
        out = capsys.readouterr().out
        assert text in out
        assert out.startswith("interrupted: ") is interrupted
