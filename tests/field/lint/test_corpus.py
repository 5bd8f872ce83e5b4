"""The corpus: files modeled on real projects, with the expected result for each route.

`corpus/streaming/NAME` holds the files of a project that streams and `corpus/still/NAME` those of
one that does not. `corpus/expected.toml` lists the routes that stream.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pytest

from undam.lint import LintReport, RouteOutcome, lint_paths
from undam.rules import Severity

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = tomllib.loads((CORPUS / "expected.toml").read_text("utf-8"))
STREAMING = sorted(f"streaming/{one.name}" for one in (CORPUS / "streaming").iterdir())
STILL = sorted(f"still/{one.name}" for one in (CORPUS / "still").iterdir())

pytestmark = pytest.mark.slow  # Reads and lints many files.


@cache
def report_of(name: str) -> LintReport:
    return lint_paths(CORPUS / name)


def outcomes(name: str) -> dict[str, set[RouteOutcome]]:
    found: dict[str, set[RouteOutcome]] = {}
    for route in report_of(name).routes:
        found.setdefault(route.name, set()).add(route.outcome)
    return found


def faults(name: str) -> list[str]:
    return [
        f"{name}: {one.rule.code} {one.severity}"
        for one in report_of(name).diagnostics
        if one.severity is not Severity.INFO
    ]


def test_the_corpus_is_large_enough() -> None:
    files = [one for one in CORPUS.rglob("*") if one.is_file()]
    assert len(files) >= 120
    assert len(STREAMING) >= 60
    assert len(STILL) >= 60
    assert set(EXPECTED) <= set(STREAMING)


def test_streaming_routes_are_recognised_and_others_have_no_faults() -> None:
    wanted = [
        (name, route)
        for name in STREAMING
        for route, outcome in EXPECTED[name].items()
        if outcome == "streams"
    ]
    missed = [
        f"{name} {route}: {outcomes(name).get(route)}"
        for name, route in wanted
        if RouteOutcome.STREAMS not in outcomes(name).get(route, set())
    ]
    wrong = [fault for name in STILL for fault in faults(name)]
    share = 100 * (1 - len(missed) / len(wanted))
    print(f"\n{share:.1f} % of {len(wanted)} streaming routes recognised (missed: {missed})")
    print(f"{len(wrong)} errors or warnings in {len(STILL)} projects that do not stream: {wrong}")
    assert share >= 95
    assert wrong == []


def test_other_routes_of_streaming_projects_do_not_stream() -> None:
    still = [
        (name, route)
        for name in STREAMING
        for route, outcome in EXPECTED[name].items()
        if outcome == "no"
    ]
    assert len(still) >= 5
    assert [
        (name, route)
        for name, route in still
        if RouteOutcome.STREAMS in outcomes(name).get(route, set())
    ] == []


@pytest.mark.parametrize("name", [*STREAMING, *STILL])
def test_every_file_is_read(name: str) -> None:
    assert report_of(name).problems == ()
