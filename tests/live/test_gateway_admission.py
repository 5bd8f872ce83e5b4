"""Admission control in a real gateway: API keys, limits, the request queue and health checks."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.eventually import eventually_async
from support.gateway_process import StartUndam, request_stream, undam_commands

KEY, OTHER = "gw-key-0123456789", "gw-key-abcdefghij"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartUndam]:
    with undam_commands(tmp_path) as run:
        yield run


class _Upstream:
    """Upstream that records request heads and is healthy unless a test changes that."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.healthy = True

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("GET /health"):
            self.heads.append(head)
        status = "200 OK" if self.healthy else "500 Out Of Memory"
        rest = "Content-Length: 2\r\nConnection: close\r\n\r\nok"
        writer.write(f"HTTP/1.1 {status}\r\n{rest}".encode())
        await writer.drain()
        writer.close()


def test_keys_admit_are_not_forwarded_and_are_reloaded(start: StartUndam, tmp_path: Path) -> None:
    keys, upstream_key = tmp_path / "keys", tmp_path / "upstream-key"
    keys.write_text(f"alice {KEY} rate=1/h\n")
    upstream_key.write_text("sk-upstream-1234\n")

    async def main() -> None:
        upstream = _Upstream()
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        gateway = await asyncio.to_thread(
            start, "gateway", "--upstream", url, "--keys", str(keys),
            "--upstream-key", f"file:{upstream_key}",
        )  # fmt: skip
        bearer = f"Authorization: Bearer {KEY}\r\n"
        refused = await request_stream(gateway.url)
        assert refused.status == 401
        assert b"www-authenticate: bearer" in refused.body.lower()
        reads = [await request_stream(gateway.url, headers=bearer) for _ in range(6)]
        assert [read.status for read in reads] == [200] * 5 + [429]
        assert b"retry-after: " in reads[-1].body.lower()
        assert len(upstream.heads) == 5
        assert all("sk-upstream-1234" in head and KEY not in head for head in upstream.heads)
        keys.write_text("alice too-short\n")
        await eventually_async(lambda: "keeping the old ones" in gateway.log_text())
        assert (await request_stream(gateway.url, headers=bearer)).status == 429
        keys.write_text(f"bob {OTHER}\n")
        await eventually_async(lambda: "reloaded the API keys" in gateway.log_text())
        assert (await request_stream(gateway.url, headers=bearer)).status == 401
        assert (await request_stream(gateway.url, headers=f"x-api-key: {OTHER}\r\n")).status == 200
        log = await asyncio.to_thread(gateway.log_text)
        assert KEY not in log
        assert "too-short" not in log
        server.close()

    asyncio.run(main())


def test_limits_hold_and_the_queue_is_first_in_first_out(start: StartUndam) -> None:
    sim = start("sim", "--ttft", "5", "--gap", "20", "--tokens", "20")
    gateway = start(
        "gateway", "--upstream", sim.url, "--max-streams", "2", "--queue", "4",
        "--queue-timeout", "1",
    )  # fmt: skip

    async def main() -> None:
        tasks = []
        for _ in range(7):
            tasks.append(asyncio.create_task(request_stream(gateway.url)))
            await asyncio.sleep(0.02)
        reads = await asyncio.gather(*tasks)
        # Two requests of 0.4 s each may run concurrently. Four more wait in the queue, so the
        # seventh is refused.
        assert [read.status for read in reads] == [200] * 6 + [503]
        assert b"retry-after: 1" in reads[6].body.lower()
        first_content = [read.content_at or 0 for read in reads[:6]]
        assert first_content == sorted(first_content)
        assert first_content[2] - first_content[0] > 0.2
        # If clients disconnect while their requests are queued, the queue slots become free at
        # once.
        held = [asyncio.create_task(request_stream(gateway.url)) for _ in range(6)]
        await eventually_async(lambda: gateway.metric("undam_gateway_queued") == 4)
        for one in held[2:]:
            one.cancel()
        await eventually_async(lambda: gateway.metric("undam_gateway_queued") == 0)
        assert all(read.done for read in await asyncio.gather(*held[:2]))
        assert (await request_stream(gateway.url)).done

    asyncio.run(main())


def test_health_checks_detect_an_unhealthy_upstream(start: StartUndam) -> None:
    async def main() -> None:
        first, second = _Upstream(), _Upstream()
        servers = [await asyncio.start_server(one, "127.0.0.1", 0) for one in (first, second)]
        urls = [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers]
        gateway = await asyncio.to_thread(
            start, "gateway", "--upstream", urls[0], "--upstream", urls[1],
            "--health-interval", "0.1",
        )  # fmt: skip
        usable = "undam_gateway_upstream_usable"
        first.healthy = False
        await eventually_async(lambda: gateway.metric(usable) == 1)
        before = len(first.heads)
        for _ in range(8):
            await request_stream(gateway.url)
        assert (len(first.heads), len(second.heads)) == (before, 8)
        first.healthy = True
        await eventually_async(lambda: gateway.metric(usable) == 2)
        for one in servers:
            one.close()

    asyncio.run(main())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_is_notified(
    start: StartUndam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        monkeypatch.setitem(os.environ, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        gateway = start("gateway", "--upstream", "http://127.0.0.1:1", "--workers", workers)
        assert sock.recv(100) == b"READY=1"
        assert gateway.stop() == 0
        assert sock.recv(100) == b"STOPPING=1"
