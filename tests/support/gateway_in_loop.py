"""Gateway, upstreams and clients in one event loop; the gateway starts within milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from support.chunked import LAST_CHUNK, chunk
from support.fake_upstream import DONE, STREAM_HEAD, event
from undam.gateway.config.config import UpstreamConfig, make_config, upstream_from_url
from undam.gateway.http.client_address import TrustedProxies
from undam.gateway.policy.keys import parse_keys
from undam.gateway.policy.router import Dependencies, GatewayRouter
from undam.gateway.process.files import make_upstreams
from undam.gateway.relay.app import Gateway
from undam.gateway.telemetry.admin_endpoints import AdminEndpoints
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.observer import Telemetry
from undam.gateway.telemetry.shared_memory import SharedMetrics

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass
class UpstreamCall:
    """Request that a `LoopUpstream` has received, and the connection to respond on."""

    head: bytes
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^" + name.encode() + rb": *(.*?)\r?$", self.head)
        return None if found is None else found[1].decode("latin-1")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def respond(
        self, status: int = 200, body: bytes = b'{"ok":true}', head: str = ""
    ) -> None:
        text = f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(text.encode() + body)
        await self.writer.drain()

    async def stream(self, *texts: str, gap_s: float = 0.0, head: bytes = STREAM_HEAD) -> None:
        self.writer.write(head)
        for text in texts:
            self.writer.write(chunk(event(text)))
            if gap_s:
                await asyncio.sleep(gap_s)
        self.writer.write(chunk(DONE) + LAST_CHUNK)
        await self.writer.drain()


Handler = Callable[[UpstreamCall], Awaitable[object]]


class LoopUpstream:
    """HTTP server that calls a handler for each request; "close" as result ends the connection."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or (lambda call: call.respond())
        self.calls: list[UpstreamCall] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[object] | None] = set()

    async def start(self, path: str | None = None) -> Self:
        if path is not None:
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.url = f"unix:{path}"
            return self
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(one for one in self._tasks if one), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = b""
                if length is not None:
                    body = await reader.readexactly(int(length[1]))
                elif b"transfer-encoding: chunked" in head.lower():
                    while size := int(await reader.readuntil(b"\r\n"), 16):
                        body += (await reader.readexactly(size + 2))[:-2]
                    await reader.readexactly(2)
                call = UpstreamCall(head, body, writer)
                self.calls.append(call)
                if await self.handler(call) == "close":
                    break
        writer.transport.abort()


@dataclass
class LoopGateway:
    """The running gateway.

    Attributes:
        log: lines for the operator.
        records: the records of all ended requests.
    """

    gateway: Gateway
    router: GatewayRouter
    metrics: SharedMetrics
    port: int
    log: list[str] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)

    async def send(self, data: bytes, until: bytes = b"", timeout_s: float = 10.0) -> bytes:
        """Send ``data`` on a new connection; return the response up to ``until`` or to its end."""
        received = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(timeout_s):
                while not (until and until in received):
                    piece = await reader.read(1 << 16)
                    if not piece:
                        break
                    received += piece
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
        return received


class _RecordingTelemetry(Telemetry):
    records: list[Any]

    def request_ended(self, record: Any) -> None:
        super().request_ended(record)
        self.records.append(record)


@contextlib.asynccontextmanager
async def loop_gateway(
    *upstreams: LoopUpstream | UpstreamConfig | str,
    keys: str = "",
    seed: int = 1,
    aliases: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    **values: Any,
) -> AsyncIterator[LoopGateway]:
    """Run a gateway with these upstreams and option values in the running event loop."""
    configs = [
        one if isinstance(one, UpstreamConfig)
        else upstream_from_url(one if isinstance(one, str) else one.url)
        for one in upstreams
    ]  # fmt: skip
    config = make_config(values, configs, aliases)
    metrics = SharedMetrics.make(1)
    worker_metrics = WorkerMetrics(metrics.region(0))
    log: list[str] = []
    router = GatewayRouter(
        config,
        make_upstreams(config),
        local_responses=AdminEndpoints(
            not_ready=lambda: "", shared_metrics=metrics, flush=lambda: None
        ),
        dependencies=Dependencies(worker_metrics, time.monotonic, random.Random(seed), log.append),
    )
    if keys:
        router.use_keys(parse_keys(keys, "keys"), "")
    telemetry = _RecordingTelemetry(worker_metrics)
    telemetry.records = []
    gateway = Gateway(router, telemetry, config.request_limits)
    gateway.context.cors.use(config.cors_origins)
    gateway.context.trusted_proxies = TrustedProxies(config.trusted_proxies)
    gateway.context.proxy_protocol = config.proxy_protocol == "on"
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    await gateway.listen(listener, tls)
    port = listener.getsockname()[1]
    try:
        yield LoopGateway(gateway, router, metrics, port, log, telemetry.records)
    finally:
        await gateway.close()
        for one in upstreams:
            if isinstance(one, LoopUpstream):
                await one.close()


def json_request(
    path: str = "/v1/chat/completions", headers: str = "", body: bytes | None = None, **fields: Any
) -> bytes:
    """Return a POST request with a JSON body; the connection is closed after the response."""
    if body is None:
        body = json.dumps({"model": "m", "messages": [], **fields}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
