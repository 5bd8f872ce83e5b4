"""Damaged texts of Envoy, Traefik and Traffic Server: findings, or an error with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.mutations import damaged, lint_whatever
from undam.configs import Settings, dialect_named

HERE = Path(__file__).parent
CODES = {"envoy": "ENV", "traefik": "TRF", "trafficserver": "ATS"}
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))


def texts_of(name: str) -> list[str]:
    corpus = (HERE / "corpus" / name).glob("*")
    rules = (HERE.parent / "rules").glob(f"{CODES[name]}*/[bgf]*.*")
    return [file.read_text("utf-8") for file in (*corpus, *rules)]


each_dialect = pytest.mark.parametrize("name", CODES)
SETTINGS = [Settings(), Settings(stream_paths=("/",), heartbeat_s=200)]


def damage(name: str, examples: int) -> None:
    @settings(SLOW, max_examples=examples)
    @given(damaged(texts_of(name)), st.sampled_from(SETTINGS))
    def run(text: str, chosen: Settings) -> None:
        lint_whatever(dialect_named(name), text, chosen)

    run()


@each_dialect
def test_a_damaged_text_gives_findings_or_an_error_with_a_place(name: str) -> None:
    damage(name, 100)


@pytest.mark.deep
@each_dialect
def test_ten_thousand_damaged_texts(name: str) -> None:
    damage(name, 10_000)


@each_dialect
def test_an_undamaged_text_is_read(name: str) -> None:
    for text in texts_of(name):
        assert lint_whatever(dialect_named(name), text) is not None
