"""Damaged Envoy, Traefik and Traffic Server files: findings, or an error with a position."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.dialect_harness import with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from undam.lint import Settings, Source, dialect_named, lint_source

HERE = Path(__file__).parents[1]
CODES = {"envoy": "ENV", "traefik": "TRF", "trafficserver": "ATS"}
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))


def texts_of(name: str) -> list[str]:
    corpus = (HERE / "corpus" / name).glob("*")
    rules = (HERE.parent / "rules").glob(f"{CODES[name]}*/[bgf]*.*")
    return [file.read_text("utf-8") for file in (*corpus, *rules)]


each_dialect = pytest.mark.parametrize("name", CODES)
SETTINGS = [with_heartbeats(), with_heartbeats(stream_paths=("/",), heartbeat_s=200)]


def texts_tried(name: str, examples: int) -> int:
    """Lint damaged texts in one dialect and return their number; fail if a result is wrong."""
    tried = 0

    @settings(SLOW, max_examples=examples)
    @given(damaged_texts(texts_of(name)), st.sampled_from(SETTINGS))
    def run(text: str, chosen: Settings) -> None:
        nonlocal tried
        tried += 1
        assert robustness_faults(dialect_named(name), text, chosen) == []

    run()
    return tried


@pytest.mark.slow
@each_dialect
def test_damaged_text_gives_findings_or_a_syntax_error(name: str) -> None:
    assert texts_tried(name, 100) > 50


@pytest.mark.deep
@each_dialect
def test_ten_thousand_damaged_texts(name: str) -> None:
    assert texts_tried(name, 10_000) > 5_000


@pytest.mark.slow
@each_dialect
def test_an_undamaged_text_is_read(name: str) -> None:
    for text in texts_of(name):
        assert lint_source(dialect_named(name), Source(name, text), with_heartbeats()) is not None
        assert robustness_faults(dialect_named(name), text) == []
