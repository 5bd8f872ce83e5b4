"""Upstreams and workers of a real gateway stop and start, and no stream is dropped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from support.eventually import eventually_async
from support.gateway_process import ClosedLoad, StartUndam, request_stream, undam_commands
from support.undam_command import ListeningCommand

QUICK = ("--ttft", "5", "--gap", "2", "--tokens", "5")
LONG = ("--ttft", "20", "--gap", "50", "--tokens", "50")
USABLE = "undam_gateway_upstream_usable"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartUndam]:
    with undam_commands(tmp_path) as run:
        yield run


def _children(process: ListeningCommand) -> list[int]:
    pid = process.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_dead_upstream_is_ejected_and_used_again_after_its_restart(start: StartUndam) -> None:
    one, other = start("sim", *QUICK), start("sim", *QUICK)
    gateway = start(
        "gateway", "--upstream", one.url, "--upstream", other.url, "--eject-time", "0.3"
    )
    name = one.url.removeprefix("http://")

    async def main() -> None:
        load = ClosedLoad(gateway.url, 4)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(one.stop)
        await eventually_async(lambda: gateway.metric(USABLE, upstream=name) == 0)
        start("sim", *QUICK, "--port", str(one.port))
        await eventually_async(lambda: gateway.metric(USABLE, upstream=name) == 1)
        load.stopped = True
        await running
        # Streams from the stopped upstream got an error event; all other requests were retried.
        broken = [read for read in load.reads if not read.done]
        assert len(broken) <= 4
        assert all(b"error" in read.body for read in broken)

    asyncio.run(main())
    assert f"upstream {name} is ejected: refused" in gateway.log_text()
    assert f"upstream {name} is available again" in gateway.log_text()


def test_a_reload_drains_removed_upstreams_without_dropping_streams(
    start: StartUndam, tmp_path: Path
) -> None:
    one, other = start("sim", *LONG), start("sim", *LONG)
    config = tmp_path / "gateway.toml"
    config.write_text(f'upstream = ["{one.url}", "{other.url}"]\nheartbeat = 0.5\n')
    gateway = start("gateway", "--config", str(config))
    first = one.url.removeprefix("http://")

    def requests_to_first() -> float:
        return gateway.metric("undam_gateway_upstream_requests_total", upstream=first)

    async def main() -> None:
        streams = [asyncio.create_task(request_stream(gateway.url)) for _ in range(40)]
        await eventually_async(lambda: requests_to_first() >= 15)
        config.write_text('heart_beat = 5\nupstream = "http://127.0.0.1:1"\n')
        gateway.signal(signal.SIGHUP)
        await eventually_async(lambda: 'Did you mean "heartbeat"?' in gateway.log_text())
        config.write_text(f'upstream = ["{other.url}"]\n')
        gateway.signal(signal.SIGHUP)
        await eventually_async(lambda: f"draining: {first}" in gateway.log_text())
        before = await asyncio.to_thread(requests_to_first)
        late = await asyncio.gather(*(request_stream(gateway.url, tokens=3) for _ in range(10)))
        assert await asyncio.to_thread(requests_to_first) == before
        reads = [*await asyncio.gather(*streams), *late]
        assert all(read.done and read.whole for read in reads)
        assert {read.events for read in reads[:40]} == {50}

    asyncio.run(main())
    log = gateway.log_text()
    assert f'{config}:1:1: unknown key "heart_beat"' in log
    assert "keeping the old one" in log


def test_sigterm_drains_and_then_cuts_streams_with_an_error_event(start: StartUndam) -> None:
    quick, slow = start("sim", *LONG), start("sim", *LONG[:2], "--gap", "500", "--tokens", "100")
    draining = start("gateway", "--upstream", quick.url)
    short_timeout = start("gateway", "--upstream", slow.url, "--drain-timeout", "0.5")
    stopped_twice = start("gateway", "--upstream", slow.url)
    all_three = (draining, short_timeout, stopped_twice)

    async def main() -> None:
        streams = [
            [asyncio.create_task(request_stream(one.url)) for _ in range(20)] for one in all_three
        ]
        in_flight = "undam_gateway_streams_in_flight"
        await eventually_async(lambda: all(one.metric(in_flight) == 20 for one in all_three))
        for one in all_three:
            one.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        refused = [(await request_stream(one.url)).error for one in all_three]
        assert all(refused)
        stopped_twice.signal(signal.SIGTERM)
        whole, cut, cut_at_once = [await asyncio.gather(*reads) for reads in streams]
        assert all(read.done and read.whole and read.events == 50 for read in whole)
        for read in (*cut, *cut_at_once):
            assert b"shutting down" in read.body
            assert not read.whole
            assert not read.done

    asyncio.run(main())
    assert [one.process.wait(5) for one in all_three] == [0, 1, 1]


def test_tls_from_clients_and_to_upstreams(start: StartUndam, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    sim = start("sim", *QUICK)
    inner = start("gateway", "--upstream", sim.url, *files)
    assert inner.url.startswith("https://")
    trusting = ("--upstream-cacert", str(tmp_path / "ca.pem"), "--health-interval", "0.1")
    outer = start("gateway", "--upstream", inner.url, *trusting, "--health-path", "/-/healthz")
    untrusting = start("gateway", "--upstream", inner.url)

    async def main() -> None:
        assert (await request_stream(outer.url)).done
        refused = await request_stream(untrusting.url)
        assert refused.status in (0, 502) or b"error" in refused.body
        assert not refused.done

    asyncio.run(main())
    assert outer.metric(USABLE) == 1


def test_workers_share_the_port_and_a_crashed_one_is_restarted(start: StartUndam) -> None:
    sim = start("sim", *LONG)
    gateway = start("gateway", "--upstream", sim.url, "--workers", "2")
    assert gateway.get("/-/readyz") == (200, "ready\n")

    async def main() -> None:
        assert all(read.done for read in await asyncio.gather(request_stream(gateway.url)))
        killed, kept = _children(gateway)
        os.kill(killed, signal.SIGKILL)
        await eventually_async(lambda: "restarting it" in gateway.log_text())
        await eventually_async(lambda: gateway.get("/-/readyz")[0] == 200)
        assert kept in _children(gateway)
        reads = [asyncio.create_task(request_stream(gateway.url)) for _ in range(20)]
        await asyncio.sleep(0.5)
        gateway.signal(signal.SIGTERM)
        assert all(read.done and read.whole for read in await asyncio.gather(*reads))

    asyncio.run(main())
    assert gateway.process.wait(10) == 0
