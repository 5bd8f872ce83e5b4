"""For live tests: a simulator that writes the truth down, real proxies, checks, and the holds that
the truth itself gives, worked out without undam's own parser and judgement."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from undam.lab.proxies import Missing, RunningProxy
from undam.probe import CheckOptions, Place, Report, report_json, run_check
from undam.record import Exchange
from undam.rules import Severity

CHAT = "/v1/chat/completions"

_START_S = 20.0
_TRUTH_S = 5.0
_LISTENING = "listening on "

# A verdict starts to doubt a stream at 12 ms of hold. What the machine itself adds must stay well
# below that for a verdict to say something of the proxy.
_MAX_MACHINE_DELAY_MS = 5.0
_MORE_TIMES = 2
# Of fewer reads the first ones, which wait for this program to start others, are a tenth.
_MIN_READS = 40


class Simulator:
    """A running ``undam sim``: where it listens, and what it wrote down."""

    def __init__(self, process: subprocess.Popen[str], url: str, truth_file: Path) -> None:
        self.url = url
        self._process = process
        self._truth_file = truth_file

    def truth(self) -> list[dict[str, Any]]:
        """The lines of the truth file so far; one that is still being written is left out."""
        if not self._truth_file.exists():
            return []
        text = self._truth_file.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in complete.splitlines()]

    def events(self, ident: str) -> dict[int, dict[str, int]]:
        """By their number, the events of an exchange that has ended."""
        give_up = time.monotonic() + _TRUTH_S
        while True:
            lines = [line for line in self.truth() if line["id"] == ident]
            if any(line["kind"] == "end" for line in lines):
                return {line["seq"]: line for line in lines if line["kind"] == "event"}
            assert time.monotonic() < give_up, f"the truth has no end of {ident!r}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as a user does. Only then are all lines of the truth sure to be there."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def start_simulator(folder: Path, *arguments: str, number: int = 0) -> Simulator:
    """Start ``undam sim`` on a free port; its truth and log go to ``folder``."""
    truth_file = folder / f"truth-{number}.jsonl"
    errors = folder / f"simulator-{number}.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "undam", "sim", "--port", "0"),
                *("--truth", str(truth_file), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline() if ready else ""
    started = Simulator(process, line.strip().removeprefix(_LISTENING), truth_file)
    if not line.startswith(_LISTENING):
        started.stop()
        pytest.fail(f"undam sim said {line!r} and {errors.read_text(encoding='utf-8')!r}")
    return started


RunProxy = Callable[..., RunningProxy]


@contextlib.contextmanager
def proxies() -> Iterator[RunProxy]:
    """Gives ``run(start_nginx, upstream, …)``; what it started is stopped at the end."""
    with contextlib.ExitStack() as running:

        def run(
            start: Callable[..., RunningProxy], *arguments: object, **settings: object
        ) -> RunningProxy:
            return running.enter_context(start(*arguments, **settings))

        yield run


def skip_or_fail(missing: Missing) -> NoReturn:
    """Skip the test by the name of the program; under CI a missing one is a failure."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(str(missing), pytrace=False)
    pytest.skip(str(missing))


async def check(url: str, *inner: tuple[str, str], path: str = CHAT, **options: Any) -> Report:
    """A check of ``url``, as the hop ``edge``, and of (name, url) further in."""
    places = tuple(Place(name, at + path) for name, at in (("edge", url), *inner))
    return await run_check(CheckOptions(places=places, **options))


def measure(
    simulator: Simulator, reports: Callable[[], Iterable[Awaitable[Report]]]
) -> list[Report]:
    """Run these checks at once; again, twice at most, if this machine was too busy to tell.

    Whether it was is told by its lateness alone, never by the verdict.
    """

    async def together() -> list[Report]:
        return list(await asyncio.gather(*reports()))

    measured = asyncio.run(together())
    for _ in range(_MORE_TIMES):
        if all(machine_delay_ms(simulator, report) <= _MAX_MACHINE_DELAY_MS for report in measured):
            break
        time.sleep(1)  # whatever kept the machine busy may end
        measured = asyncio.run(together())
    return measured


def machine_delay_ms(simulator: Simulator, report: Report) -> float:
    """How late the simulator was with a tenth of its events, or this program with a tenth of its
    reads: whoever kept these two waiting kept the proxies waiting, too."""
    late = [0.0]
    for exchange in report.exchanges:
        late.append(quantile(lateness_ms(simulator, exchange), 0.9))
        reads = [arrival.late_ns / 1e6 for arrival in exchange.arrivals]
        if len(reads) >= _MIN_READS:
            late.append(quantile(reads, 0.9))
    return max(late)


def lateness_ms(simulator: Simulator, exchange: Exchange) -> list[float]:
    """For each event of an exchange, how long after its due time it left."""
    events = simulator.events(beacon_id(exchange)).values()
    return [(event["left_ns"] - event["due_ns"]) / 1e6 for event in events]


@dataclass(frozen=True)
class EventTiming:
    """One content event: due and left by the truth, and when it came; CLOCK_REALTIME."""

    due_ns: int
    left_ns: int
    at_ns: int

    @property
    def hold_ms(self) -> float:
        return max(0.0, (self.at_ns - self.due_ns) / 1e6)


def event_timings(simulator: Simulator, exchange: Exchange) -> list[EventTiming]:
    """Each chat chunk with text: due and left by the truth file, arrived by the read that
    brought its last byte."""
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
    """The beacon's name of an exchange, from its head."""
    head = exchange.head.get("undam-beacon") if exchange.head else None
    assert head is not None, f"{exchange.url}: the beacon's header is missing"
    name, _, ident = head.partition(";")[0].partition("=")
    assert name == "id", head
    return ident


def quantile(values: Iterable[float], q: float) -> float:
    """The nearest-rank quantile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else 0.0


def hop_json(report: Report, name: str = "edge") -> dict[str, Any]:
    """The entry of a hop in the report that other programs read."""
    hops = report_json(report)["hops"]
    assert isinstance(hops, list)
    return next(hop for hop in hops if hop["name"] == name)


def codes_by_hop(report: Report) -> dict[str, set[str]]:
    """By hop, the codes of its errors and warnings, but for what a check says of this machine:
    that one is true where others keep it busy, and blames no hop."""
    found: dict[str, set[str]] = {}
    for one in report.findings:
        if one.severity is not Severity.INFO and not one.code.startswith("UD9"):
            found.setdefault(one.hop, set()).add(one.code)
    return found


HOLD_CODES = {"UD101", "UD102", "UD103", "UD104", "UD111"}


def hold_codes_by_hop(report: Report) -> dict[str, set[str]]:
    """By hop, the codes that say of it that a hold begins there."""
    found: dict[str, set[str]] = {}
    for one in report.findings:
        if one.code in HOLD_CODES:
            found.setdefault(one.hop, set()).add(one.code)
    return found
