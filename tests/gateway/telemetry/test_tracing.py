"""Tracing: the trace context, and the spans that an OTLP receiver gets."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from undam.apis import CHAT
from undam.errors import UsageError
from undam.gateway.interfaces import EndReason, RequestInfo, RequestRecord, Upstream
from undam.gateway.telemetry import tracing
from undam.gateway.telemetry.gap_stats import GapStats
from undam.gateway.telemetry.traceparent import TraceParent, from_headers, from_record, parse
from undam.gateway.telemetry.tracing import tracing_if_configured

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (HEADER, True),
        (b" " + HEADER + b"\t", True),
        (HEADER.replace(b"00-", b"cc-", 1) + b"-field-of-a-later-version", True),
        (HEADER + b"-more", False),
        (HEADER.replace(b"00-", b"ff-", 1), False),
        (HEADER.upper(), False),
        (f"00-{'0' * 32}-{SPAN}-01".encode(), False),
        (f"00-{TRACE}-{'0' * 16}-01".encode(), False),
        (HEADER[:-1], False),
        (b"", False),
        (None, False),
    ],
)
def test_traceparent_validation(value: bytes | None, valid: bool) -> None:
    found = parse(value)
    assert found == (TraceParent(TRACE, SPAN, 1) if valid else None)
    assert found is None or parse(found.header()) == found


def test_duplicate_traceparent_headers_are_invalid() -> None:
    assert from_headers([(b"TraceParent", HEADER)]) == parse(HEADER)
    assert from_headers([(b"traceparent", HEADER)] * 2) is None


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Start an OTLP receiver; return its endpoint and the list of decoded requests."""
    received: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join(10)


def _record(*headers: tuple[bytes, bytes]) -> RequestRecord:
    secret = (b"Authorization", b"Bearer sk-tops3cret99")
    request = RequestInfo(
        "POST", "/v1/chat/completions?key=tops3cret99", [secret, *headers], CHAT, True, "llama",
        True, 10, "req-1", "10.0.0.1", "team-a",
    )  # fmt: skip
    return RequestRecord(request, started_at=time.monotonic() - 1)


def _trace(endpoint: str, record: RequestRecord, end_reason: EndReason) -> None:
    tracer = tracing_if_configured(endpoint, {})
    assert tracer is not None
    span = tracer.request_started(record)
    tracer.event(span, "first", "gpu-1")
    record.upstream, record.status = Upstream("gpu-1", "10.1.1.1", 8000), 200
    record.content_at, record.ended_at = record.started_at + 0.25, record.started_at + 1
    record.end_reason = end_reason
    tracer.request_ended(span, record, GapStats())
    tracer.close()


def _spans(received: list[Any]) -> dict[int, Any]:
    return {
        span.kind: span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def _attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_spans_and_attributes_of_a_stream(collector: tuple[str, list[Any]]) -> None:
    endpoint, received = collector
    record = _record((b"traceparent", HEADER), (b"tracestate", b"vendor=1"))
    _trace(endpoint, record, EndReason.COMPLETE)
    server, client = (_spans(received)[kind] for kind in (2, 3))
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert (server.parent_span_id.hex(), client.parent_span_id) == (SPAN, server.span_id)
    assert server.trace_state == "vendor=1"
    sent = from_record(record)
    assert sent == TraceParent(TRACE, client.span_id.hex(), 1)
    assert client.name == "chat llama"
    found = _attributes(client)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "llama"
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.25)
    assert (found["server.address"], found["server.port"]) == ("10.1.1.1", 8000)
    assert [event.name for event in client.events] == ["undam.first"]
    assert client.end_time_unix_nano - client.start_time_unix_nano == pytest.approx(1e9, rel=1e-3)
    assert abs(client.end_time_unix_nano / 1e9 - time.time()) < 30
    assert client.status.code == server.status.code == 0
    names = {one.value.string_value for one in received[0].resource_spans[0].resource.attributes}
    assert "undam-gateway" in names
    assert "tops3cret" not in str(received)


def test_an_invalid_parent_starts_a_new_trace_and_errors_are_marked(
    collector: tuple[str, list[Any]],
) -> None:
    endpoint, received = collector
    record = _record((b"traceparent", HEADER.replace(TRACE.encode(), b"0" * 32)))
    _trace(endpoint, record, EndReason.UPSTREAM_DIED)
    server, client = (_spans(received)[kind] for kind in (2, 3))
    assert server.parent_span_id == b""
    assert server.trace_id.hex() not in {TRACE, "0" * 32}
    assert (client.status.code, client.status.message) == (2, "upstream-died")
    assert _attributes(client)["error.type"] == "upstream-died"


def test_unsampled_requests_propagate_the_context_but_export_no_spans(
    collector: tuple[str, list[Any]],
) -> None:
    endpoint, received = collector
    record = _record((b"traceparent", HEADER[:-1] + b"0"))
    _trace(endpoint, record, EndReason.COMPLETE)
    sent = from_record(record)
    assert sent is not None
    assert (sent.trace_id, sent.flags) == (TRACE, 0)
    assert received == []


def test_tracing_is_off_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing_if_configured(None, {}) is None
    assert tracing_if_configured("http://x", {"OTEL_SDK_DISABLED": "true"}) is None

    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tracing, "import_module", absent)
    with pytest.raises(UsageError, match=r"undam\[otel\]"):
        tracing_if_configured(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
