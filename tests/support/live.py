"""Helpers for live tests with proxies: simulator, proxies, checks, and ground-truth hold times.

The holds are computed from the simulator's log, without undam's own parser and analysis.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support.undam_command import ListeningCommand
from undam.lab.proxies import Missing, RunningProxy
from undam.probe import CheckOptions, Place, Report, report_json, run_check
from undam.record import Exchange
from undam.rules import Severity

CHAT = "/v1/chat/completions"

_TRUTH_S = 5.0

# A delay of 12 ms can change a verdict, so the machine's own delays must stay well below that.
_MAX_MACHINE_DELAY_MS = 5.0
_MORE_TIMES = 2
# With fewer reads, the delays from process starts would affect a tenth of the reads.
_MIN_READS = 40


class Simulator:
    """A running ``undam sim`` process and the ground truth that it writes."""

    def __init__(self, command: ListeningCommand, truth_file: Path) -> None:
        self.url = command.url
        self._command = command
        self._truth_file = truth_file

    def truth(self) -> list[dict[str, Any]]:
        """Return the complete lines of the ground truth so far."""
        if not self._truth_file.exists():
            return []
        text = self._truth_file.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in complete.splitlines()]

    def events(self, ident: str) -> dict[int, dict[str, int]]:
        """Return the events of a finished exchange, by sequence number."""
        give_up = time.monotonic() + _TRUTH_S
        while True:
            lines = [line for line in self.truth() if line["id"] == ident]
            if any(line["kind"] == "end" for line in lines):
                return {line["seq"]: line for line in lines if line["kind"] == "event"}
            assert time.monotonic() < give_up, f"the ground truth has no end of {ident!r}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the simulator; the ground truth is complete afterwards."""
        self._command.stop()


def start_simulator(folder: Path, *arguments: str, number: int = 0) -> Simulator:
    """Start ``undam sim`` on a free port; the ground truth and log are written to ``folder``."""
    truth_file = folder / f"truth-{number}.jsonl"
    log = folder / f"simulator-{number}.log"
    arguments = ("sim", "--port", "0", "--truth", str(truth_file), *arguments)
    return Simulator(ListeningCommand(*arguments, log=log), truth_file)


RunProxy = Callable[..., RunningProxy]


@contextlib.contextmanager
def proxies() -> Iterator[RunProxy]:
    """Yield ``run(start_nginx, upstream, …)``; the proxies are stopped at the end."""
    with contextlib.ExitStack() as running:

        def run(
            start: Callable[..., RunningProxy], *arguments: object, **settings: object
        ) -> RunningProxy:
            return running.enter_context(start(*arguments, **settings))

        yield run


def skip_or_fail(missing: Missing) -> NoReturn:
    """Skip the test because a program is missing, or fail it in CI."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(str(missing), pytrace=False)
    pytest.skip(str(missing))


async def check(url: str, *inner: tuple[str, str], path: str = CHAT, **options: Any) -> Report:
    """Check ``url`` as the hop ``edge``, with inner hops given as (name, url)."""
    places = tuple(Place(name, at + path) for name, at in (("edge", url), *inner))
    return await run_check(CheckOptions(places=places, **options))


def measure(
    simulator: Simulator, reports: Callable[[], Iterable[Awaitable[Report]]]
) -> list[Report]:
    """Run checks concurrently; repeat them at most twice if the machine was too busy.

    Only measured lateness causes a repetition, never the verdict.
    """

    async def together() -> list[Report]:
        return list(await asyncio.gather(*reports()))

    measured = asyncio.run(together())
    for _ in range(_MORE_TIMES):
        if all(machine_delay_ms(simulator, report) <= _MAX_MACHINE_DELAY_MS for report in measured):
            break
        time.sleep(1)  # other load on the machine may have ended by then
        measured = asyncio.run(together())
    return measured


def machine_delay_ms(simulator: Simulator, report: Report) -> float:
    """Return the p90 lateness of the simulator or of the check, whichever is larger.

    A machine that delays these processes delays the proxies as well.
    """
    late = [0.0]
    for exchange in report.exchanges:
        late.append(quantile(lateness_ms(simulator, exchange), 0.9))
        reads = [arrival.late_ns / 1e6 for arrival in exchange.arrivals]
        if len(reads) >= _MIN_READS:
            late.append(quantile(reads, 0.9))
    return max(late)


def lateness_ms(simulator: Simulator, exchange: Exchange) -> list[float]:
    """Return how late the simulator sent each event in an exchange."""
    events = simulator.events(beacon_id(exchange)).values()
    return [(event["left_ns"] - event["due_ns"]) / 1e6 for event in events]


@dataclass(frozen=True)
class EventTiming:
    """Times of one content event: due and sent (from the ground truth), and received."""

    due_ns: int
    left_ns: int
    at_ns: int

    @property
    def hold_ms(self) -> float:
        return max(0.0, (self.at_ns - self.due_ns) / 1e6)


def event_timings(simulator: Simulator, exchange: Exchange) -> list[EventTiming]:
    """Return the times of each chat chunk with text; a chunk arrives when its last byte is read."""
    events = simulator.events(beacon_id(exchange))
    found: list[EventTiming] = []
    body, start = b"", 0
    for arrival in exchange.arrivals:
        body += arrival.data
        while (end := body.find(b"\n\n", start)) >= 0:
            block, start = body[start:end], end + 2
            if not block.startswith(b"data: {"):
                continue
            chunk = json.loads(block.removeprefix(b"data: "))
            if any(choice["delta"].get("content") for choice in chunk["choices"]):
                event = events[chunk["undam"]["seq"]]
                found.append(EventTiming(event["due_ns"], event["left_ns"], arrival.at_ns))
    return found


def beacon_id(exchange: Exchange) -> str:
    """Return the exchange's beacon ID, which is in the response head."""
    head = exchange.head.get("undam-beacon") if exchange.head else None
    assert head is not None, f"{exchange.url}: the beacon's header is missing"
    name, _, ident = head.partition(";")[0].partition("=")
    assert name == "id", head
    return ident


def quantile(values: Iterable[float], q: float) -> float:
    """Return the nearest-rank quantile, or 0 if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else 0.0


def hop_json(report: Report, name: str = "edge") -> dict[str, Any]:
    """Return the hop called ``name`` in the JSON report."""
    hops = report_json(report)["hops"]
    assert isinstance(hops, list)
    return next(hop for hop in hops if hop["name"] == name)


def codes_by_hop(report: Report) -> dict[str, set[str]]:
    """Return error and warning codes by hop, without measurement caveats.

    Caveats are expected on a busy machine and concern no hop.
    """
    found: dict[str, set[str]] = {}
    for one in report.findings:
        if one.severity is not Severity.INFO and not one.code.startswith("UD9"):
            found.setdefault(one.hop, set()).add(one.code)
    return found


HOLD_CODES = {"UD101", "UD102", "UD103", "UD104", "UD111"}


def hold_codes_by_hop(report: Report) -> dict[str, set[str]]:
    """Return the codes of findings about held streams, by hop."""
    found: dict[str, set[str]] = {}
    for one in report.findings:
        if one.code in HOLD_CODES:
            found.setdefault(one.hop, set()).add(one.code)
    return found
