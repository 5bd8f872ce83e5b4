"""Telemetry of a real gateway: metrics of all workers, access logs, trace context and spans."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from support.eventually import eventually_async
from support.gateway_process import CHAT, StartUndam, request_stream, undam_commands
from support.undam_command import ListeningCommand

_REQUESTS = 40
_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_SECRET = "sk-tops3cret99"


class _Collector(ThreadingHTTPServer):
    """Server that collects exported spans and the headers of the requests to the model."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ReceiverHandler)
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _ReceiverHandler(BaseHTTPRequestHandler):
    server: _Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.server.spans += scope.spans
        else:
            self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[_Collector]:
    with _Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartUndam]:
    with undam_commands(tmp_path) as run:
        yield run


def _request_many(url: str) -> None:
    async def main() -> None:
        secret = f"Authorization: Bearer {_SECRET}\r\n"
        for _ in range(4):
            together = [request_stream(url, headers=secret) for _ in range(_REQUESTS // 4)]
            assert all(read.done for read in await asyncio.gather(*together))

    asyncio.run(main())


def test_metrics_and_access_log_cover_both_workers(start: StartUndam, tmp_path: Path) -> None:
    model = start("sim", "--ttft", "5", "--gap", "1", "--tokens", "10")
    log = tmp_path / "access.jsonl"
    gateway = start("gateway", "--upstream", model.url, "--workers", "2", "--access-log", str(log))
    _request_many(gateway.url)
    ended = "undam_gateway_requests_ended_total"

    async def wait_for_counts() -> None:
        # A scrape does not wait for the other worker's deferred reports, so the counts can lag.
        await eventually_async(lambda: gateway.metric(ended, reason="complete") == _REQUESTS)

    asyncio.run(wait_for_counts())
    # Either worker may answer each of these scrapes.
    for _ in range(6):
        assert gateway.metric(ended, reason="complete") == _REQUESTS
        assert gateway.metric("gen_ai_server_time_to_first_token_seconds_count") == _REQUESTS
        assert gateway.metric("undam_gateway_requests_in_flight") == 0
        assert gateway.metric("undam_gateway_workers") == 2
    gateway.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == len({line["request_id"] for line in lines}) == _REQUESTS
    assert {(line["ended"], line["status"], line["path"]) for line in lines} == {
        ("complete", 200, CHAT)
    }
    assert all(0 < line["ttft_ms"] <= line["duration_ms"] for line in lines)
    assert _SECRET not in log.read_text()


def _post(gateway: ListeningCommand, traceparent: str) -> None:
    body = b'{"model":"llama","messages":[],"stream":false}'
    head = f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nConnection: close\r\nTraceparent: {traceparent}\r\n"
    head += f"Authorization: Bearer {_SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as conn:
        conn.sendall(head.encode() + body)
        while conn.recv(65536):
            pass


def test_trace_context_is_forwarded_and_spans_are_exported(
    start: StartUndam, collector: _Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = f"00-{_TRACE}-{_SPAN}-01"
    plain = start("gateway", "--upstream", collector.url)
    _post(plain, parent)
    assert collector.headers[0]["traceparent"] == parent

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    tracing = start("gateway", "--upstream", collector.url)
    _post(tracing, parent)
    asyncio.run(eventually_async(lambda: len(collector.spans) == 2))
    server, client = sorted(collector.spans, key=lambda span: int(span.kind))
    assert server.parent_span_id.hex() == _SPAN
    assert {server.trace_id.hex(), client.trace_id.hex()} == {_TRACE}
    assert collector.headers[1]["traceparent"] == f"00-{_TRACE}-{client.span_id.hex()}-01"
    assert client.name == "chat llama"
    assert _SECRET not in str(collector.spans)
