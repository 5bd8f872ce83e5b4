"""Scripts based on the registry: the generated page, outdated facts, and measurements."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from undam.intermediaries import INTERMEDIARIES

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = sum(len(known.claims) for known in INTERMEDIARIES)


def script(name: str) -> ModuleType:
    """Load a script by path; without a .py suffix, the script cannot be imported by name."""
    loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # The dataclass decorator looks up the module in sys.modules.
    loader.exec_module(module)
    return module


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "intermediaries.md").read_text("utf-8")
    assert written == script("write-intermediaries").page(), (
        "run .venv/bin/python scripts/write-intermediaries"
    )


def test_the_page_lists_every_entry_once() -> None:
    page = script("write-intermediaries").page()
    for known in INTERMEDIARIES:
        assert page.count(f"| `{known.name}`<br>") == 1


def test_claims_become_stale_with_time() -> None:
    stale = script("stale-facts").stale_claims
    newest = max(claim.checked for known in INTERMEDIARIES for claim in known.claims)
    assert list(stale(0, newest)) == [
        (known, claim, age) for known, claim, age in stale(0, newest) if claim.checked < newest
    ]
    assert len(list(stale(6, "2099-01"))) == CLAIMS
    ages = [age for _, _, age in stale(6, "2099-01")]
    assert ages == sorted(ages, reverse=True)


def test_stale_facts_reports_them_and_exits_with_1() -> None:
    found = run("stale-facts", "--months", "6", "--today", "2099-01")
    assert found.returncode == 1
    assert len(found.stdout.splitlines()) == CLAIMS
    assert "nginx: holds: " in found.stdout
    assert f"{CLAIMS} of {CLAIMS} claims" in found.stderr


def test_stale_facts_is_silent_without_any() -> None:
    found = run("stale-facts", "--months", "6", "--today", "2026-11")
    assert (found.returncode, found.stdout) == (0, "")


def test_stale_facts_refuses_a_wrong_month() -> None:
    found = run("stale-facts", "--today", "2026-13")
    assert found.returncode == 2
    assert "2026-13" in found.stderr


@pytest.mark.live
def test_measure_intermediaries_prints_a_row_with_the_version() -> None:
    found = run("measure-intermediaries", "granian")
    assert found.returncode == 0, found.stderr
    row = found.stdout.splitlines()[-1]
    assert row.startswith("| granian | ")


def test_measure_intermediaries_refuses_an_unknown_program() -> None:
    found = run("measure-intermediaries", "nobody")
    assert found.returncode == 2
    assert "nobody" in found.stderr
