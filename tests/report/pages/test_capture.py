"""Capture page: findings, proxies and charts, with escaped text."""

from __future__ import annotations

from typing import Any

from support.parsed_page import ParsedPage
from support.random_load_test import HOSTILE
from undam.report import render_capture_page

TIMES = {"p50": 1.0, "p99": 2.0, "max": 180.2}


def result(**more: Any) -> dict[str, Any]:
    proxy = {
        "address": "10.0.0.2:8080", "process": None, "streams": 3, "verdict": "batched",
        "estimated": False, "hold_ms": TIMES, "ttft_in_ms": TIMES, "ttft_out_ms": None,
    }  # fmt: skip
    found = {"code": "UD102", "slug": "held-in-blocks", "severity": "error", "message": "held",
             "fix": {"where": "nginx", "text": "proxy_buffering off;"}}  # fmt: skip
    return {"source": "x.pcap", "packets": 1200, "streams": 6, "lost": 0, "proxies": [proxy],
            "findings": [found], **more}  # fmt: skip


def page(given: dict[str, Any], pictures: dict[str, Any] | None = None) -> ParsedPage:
    return ParsedPage(render_capture_page(given, pictures or {}))


def test_a_proxy_has_its_verdict_holds_and_fix() -> None:
    read = page(result())
    for text in ("10.0.0.2:8080", "batched, 3 streams", "180.2 ms", "proxy_buffering off;"):
        assert text in read.text


def test_a_picture_has_one_mark_per_event() -> None:
    pictures = {"10.0.0.2:8080": {"in": [1.0, 2.0, 3.0], "out": [3.0, 3.0, 3.0]}}
    html = render_capture_page(result(), pictures)
    assert html.count("<line") == 6
    assert "0 to 0.0 s" in html


def test_an_empty_picture_is_drawn_without_marks() -> None:
    html = render_capture_page(result(), {"10.0.0.2:8080": {"in": [], "out": []}})
    assert "<line" not in html


def test_lost_packets_an_estimate_and_the_process_are_stated() -> None:
    proxy = {**result()["proxies"][0], "process": "nginx", "estimated": True}
    read = page(result(lost=3, proxies=[proxy]))
    assert "3 gaps" in read.text
    assert "batched (nginx), 3 streams, estimated" in read.text


def test_a_clean_capture_says_so() -> None:
    assert "No proxy held a stream." in page(result(findings=[])).text


def test_hostile_text_is_escaped() -> None:
    html = render_capture_page(result(source=HOSTILE), {})
    assert "<script>" not in html
