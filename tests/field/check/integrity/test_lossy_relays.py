"""Cases check/07 and research/01: relays that drop, repeat, swap or damage events are detected.

The relay passes each event on at once, so the timing is that of a healthy path.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import pytest

from support.live import check, hop_json
from support.lossy_relay import RELAYS, positions, relay
from undam.probe import Report
from undam.rules import Severity

pytestmark = pytest.mark.slow

RUNS = 28
AT_ONCE = 14
TOKENS = 40
CODES = {
    "drop": "UD611", "duplicate": "UD612", "swap": "UD613", "truncate": "UD611",
    "garble": "UD615", "alter": "UD614", "merge": "UD616",
}  # fmt: skip


def _at(mode: str, seed: int) -> set[int]:
    rate = 0.1 if seed % 2 else 0.005
    return positions(random.Random(seed), TOKENS, rate, torn=mode == "garble")


def _run(port: int, plan: list[tuple[str, set[int]]], **options: Any) -> list[Report]:
    async def together(urls: list[str]) -> list[Report]:
        return list(await asyncio.gather(*(check(url, beacon=True, **options) for url in urls)))

    reports: list[Report] = []
    for start in range(0, len(plan), AT_ONCE):
        with contextlib.ExitStack() as running:
            servers = [
                running.enter_context(relay(port, mode, at))
                for mode, at in plan[start : start + AT_ONCE]
            ]
            reports += asyncio.run(together([server.url("") for server in servers]))
    return reports


def _content_codes(report: Report) -> set[str]:
    return {one.code for one in report.findings if "UD611" <= one.code <= "UD616"}


def test_damage_is_found_with_its_kind_and_count(model_port: int) -> None:
    modes = [list(RELAYS)[seed % len(RELAYS)] for seed in range(RUNS)]
    plan = [(mode, _at(mode, seed)) for seed, mode in enumerate(modes)]
    found: Counter[str] = Counter()
    for (mode, at), report in zip(plan, _run(model_port, plan), strict=True):
        integrity = hop_json(report)["integrity"]
        expected = {"truncate": TOKENS - min(at), "merge": TOKENS}.get(mode, len(at))
        assert integrity[RELAYS[mode][1]] == expected, (mode, at, integrity)
        assert _content_codes(report) == {CODES[mode]}, (mode, at)
        assert not report.is_clean
        found[mode] += 1
    print(f"{sum(found.values())} of {RUNS} damaged streams found: {dict(found)}")


def test_a_clean_relay_has_no_finding_about_content(model_port: int) -> None:
    reports = _run(model_port, [("none", {0})] * RUNS)
    for report in reports:
        assert _content_codes(report) == set()
        integrity = hop_json(report)["integrity"]
        assert (integrity["sent"], integrity["received"]) == (TOKENS, TOKENS)
        assert integrity["exact"] is True
    print(f"0 false reports on {len(reports)} clean streams")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages",
                                  "/v1/responses", "/sse", "/ndjson", "/v1/stream"])  # fmt: skip
def test_every_format_of_the_simulator_is_numbered(model_port: int, path: str) -> None:
    url = f"http://127.0.0.1:{model_port}"
    report = asyncio.run(check(url, path=path, beacon=True))
    integrity = hop_json(report)["integrity"]
    assert integrity["evidence"] == "numbered-text"
    assert (integrity["sent"], integrity["received"]) == (TOKENS, TOKENS)
    assert hop_json(report)["hold_ms"] is not None
    errors = [one for one in report.findings if one.severity is Severity.ERROR]
    assert errors == []
