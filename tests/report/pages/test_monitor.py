"""Monitor pages: targets, changes and probes, with escaped text."""

from __future__ import annotations

from typing import Any

from support.parsed_page import ParsedPage
from support.random_load_test import HOSTILE
from undam.report import render_overview_page, render_target_page

CHANGE = {"at": "2026-11-28T14:02:00Z", "text": "edge sends blocks of 4096 bytes",
          "before": [("verdict", "streaming"), ("edge", "streaming")],
          "after": [("verdict", "batched"), ("TTFT", "520.0 ms")]}  # fmt: skip


def summary(**more: Any) -> dict[str, Any]:
    return {"name": "chat", "url": "https://chat.example/", "verdict": "batched", "error": None,
            "at": "2026-11-28T14:02:00Z", "ttft_ms": [(0.0, 200.0), (60.0, 520.0)],
            "holds": [("edge", 380.0), ("model", None)], "last_change": CHANGE,
            "missed": ["verdict=streaming"], **more}  # fmt: skip


def overview(*targets: dict[str, Any]) -> ParsedPage:
    return ParsedPage(render_overview_page({"at": "now", "targets": list(targets)}))


def test_each_target_has_verdict_ttft_hold_and_last_change() -> None:
    read = overview(summary())
    for text in ("chat", "batched (missed: verdict=streaming)", "520 ms, at most 520 ms",
                 "edge 380.0 ms", "edge sends blocks of 4096 bytes"):  # fmt: skip
        assert text in read.text
    assert "bad" in read.classes


def test_a_target_without_probes_has_dashes() -> None:
    read = overview(summary(verdict=None, ttft_ms=[], holds=[], last_change=None, missed=[]))
    assert "not probed yet" in read.text
    assert "bad" not in read.classes


def test_a_failure_is_shown_and_one_probe_has_a_mark() -> None:
    read = overview(summary(verdict="unknown", error="refused", ttft_ms=[(5.0, 0.0)]))
    assert "refused" in read.text


def test_a_target_page_has_both_states_of_each_change() -> None:
    probe = {"at": "t", "at_s": 1.0, "verdict": "batched", "ttft_ms": 520.0, "hold_ms": None,
             "error": None, "findings": ["UD102"]}  # fmt: skip
    failed = {**probe, "error": "refused", "ttft_ms": None, "findings": []}
    view = {**summary(), "changes": [CHANGE], "probes": [probe, failed],
            "arrivals_ms": [200.0, 225.0, 1250.0]}  # fmt: skip
    text = ParsedPage(render_target_page(view)).text
    assert "Arrivals of 3 events at the edge, 0 to 1.2 s" in text
    for wanted in ("since 2026-11-28T14:02:00Z", "520.0 ms", "UD102", "refused"):
        assert wanted in text


def test_a_target_page_without_changes_states_it() -> None:
    view = {**summary(error="down"), "changes": [], "probes": [], "arrivals_ms": []}
    text = ParsedPage(render_target_page(view)).text
    assert "No change was confirmed." in text
    assert "No event has arrived yet." in text


def test_hostile_text_is_escaped() -> None:
    assert "<script>" not in render_overview_page({"at": "", "targets": [summary(error=HOSTILE)]})
