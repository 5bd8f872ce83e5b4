"""Hedging between two simulators avoids stalls, keeps to its budget, and stops at full load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway_process import ClosedLoad, StartUndam, open_load, quantile, undam_commands

STALLS = "mix(0.03,2000,lognormal(40,0.3))"
# The simulator sends its response head at once, and comments before the hedge delay has passed.
SIM = ("--ttft", STALLS, "--gap", "2", "--tokens", "5", "--heartbeat", "0.05")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartUndam]:
    with undam_commands(tmp_path) as run:
        yield run


def _pair(start: StartUndam, *arguments: str) -> list[str]:
    sims = [start("sim", *arguments, "--seed", seed) for seed in ("1", "2")]
    return [word for sim in sims for word in ("--upstream", sim.url)]


def test_stalls_are_avoided_with_few_extra_requests(start: StartUndam) -> None:
    upstreams = _pair(start, *SIM)
    plain = start("gateway", *upstreams, "--hedge", "off")
    hedging = start("gateway", *upstreams, "--hedge", "auto")

    async def main() -> None:
        before, after = await asyncio.gather(
            open_load(plain.url, 600, 60), open_load(hedging.url, 600, 60, seed=2)
        )
        assert all(read.done and read.whole for read in (*before, *after))
        # Hedging starts only when the TTFT baseline is known.
        unhedged, hedged = ([read.ttft_s for read in reads[150:]] for reads in (before, after))
        assert quantile(0.99, unhedged) > 1.9
        assert quantile(0.99, hedged) < quantile(0.99, unhedged) / 5, (
            quantile(0.99, unhedged),
            quantile(0.99, hedged),
        )

    asyncio.run(main())
    sent = hedging.metric("undam_gateway_hedges_total", result="sent")
    upstream_requests = hedging.metric("undam_gateway_upstream_requests_total")
    assert upstream_requests == 600 + sent
    assert 600 * 0.01 < sent <= 600 * 0.05
    assert hedging.metric("undam_gateway_hedges_total", result="won") > sent / 2
    assert plain.metric("undam_gateway_upstream_requests_total") == 600


def test_at_full_load_no_hedge_is_sent(start: StartUndam) -> None:
    limits = ("--upstream-streams", "4", "--queue", "100", "--queue-timeout", "60")
    gateway = start("gateway", *_pair(start, *SIM), "--hedge", "auto", *limits)

    def hedges(**labels: str) -> float:
        return gateway.metric("undam_gateway_hedges_total", **labels)

    async def main() -> None:
        await open_load(gateway.url, 80, 40)
        sent = await asyncio.to_thread(hedges, result="sent")
        load = ClosedLoad(gateway.url, 24)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(0.5)
        begun = await asyncio.to_thread(hedges, result="sent")
        await asyncio.sleep(4)
        assert await asyncio.to_thread(hedges, result="sent") == begun
        assert begun - sent <= 1  # at most one hedge was sent before requests were queued
        assert await asyncio.to_thread(gateway.metric, "undam_gateway_queued") > 0
        load.stopped = True
        await running
        assert all(read.done for read in load.reads)
        # The test is meaningful only if stalls occurred.
        assert max(read.ttft_s for read in load.reads) > 1.9

    asyncio.run(main())
