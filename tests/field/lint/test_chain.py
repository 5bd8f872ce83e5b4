"""Lint of one monorepo: Terraform, chart, compose file, Next.js, FastAPI and vLLM flags."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.undam_command import invoke
from undam.lint import LintReport, lint_paths

HERE = Path(__file__).parent
MONOREPO = HERE / "monorepo"
DOCS = Path(__file__).parents[3] / "docs" / "lint.md"

pytestmark = pytest.mark.slow  # Reads and lints a folder.


@pytest.fixture(scope="module")
def report() -> LintReport:
    return lint_paths(MONOREPO)


def test_the_chain_leads_from_the_edge_to_the_engine(report: LintReport) -> None:
    (chain,) = report.chains
    titles = [f"{'~' if one.is_assumed else ''}{one.hop.title}" for one in chain.links]
    assert titles == [
        *("CloudFront", "AWS load balancer", "~ingress-nginx", "Next.js", "Uvicorn", "vLLM"),
    ]


def test_the_weakest_limit_and_the_heartbeats_are_known(report: LintReport) -> None:
    (chain,) = report.chains
    assert chain.idle_limit is not None
    assert (chain.idle_limit.seconds, chain.idle_limit.hop.title) == (30.0, "Next.js")
    assert chain.total_limit is None
    assert [one.title for one in chain.compressing] == ["Next.js"]
    assert chain.heartbeat is not None
    assert chain.heartbeat.heartbeat_s == 15.0


def test_json_has_the_chain() -> None:
    (chain,) = json.loads(invoke("lint", str(MONOREPO), "--json").out)["chain"]
    assert [one["tier"] for one in chain["hops"]] == [
        *("cdn", "load_balancer", "ingress", "app", "app", "engine"),
    ]
    assert chain["hops"][0]["idle_limit_s"] == 60.0
    assert chain["hops"][-1]["idle_limit_s"] == 0.0  # no limit
    assert chain["idle_limit"]["default"] is True
    assert chain["idle_limit"]["path"].endswith("next.config.js")
    assert chain["heartbeat"] == {"seconds": 15.0, "title": "vLLM"}


def test_the_documented_output_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MONOREPO)
    lines = invoke("lint", ".").out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("chain:"))
    shown = "\n".join(lines[start : start + 5])
    documented = re.search(r"```text\n(chain: .*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert documented is not None
    assert documented[1].strip() == shown
