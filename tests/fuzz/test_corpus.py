"""Inputs that once made a parser fail, and a short fuzzer run on every target."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fuzz_targets import FuzzTarget, targets
from support.fuzzing import fuzz, run_input

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {target.name: target for target in targets()}


def target_of(file: Path) -> FuzzTarget:
    """Return the fuzz target that the file name states."""
    return TARGETS[file.name.rpartition("-")[0].replace("-", " ")]


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*")), ids=lambda file: file.name)
def test_an_input_that_once_failed(file: Path) -> None:
    assert run_input(target_of(file), file.read_bytes()) is None


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_seeds_and_a_few_damaged_inputs(target: FuzzTarget) -> None:
    assert [crash for seed in target.seeds if (crash := run_input(target, seed))] == []
    count, crashes = fuzz([target], 0.2, seed=1)
    assert count
    assert crashes == []
