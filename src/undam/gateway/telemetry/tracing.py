"""OpenTelemetry spans, exported over OTLP (http/protobuf), for requests whose caller samples them.

Tracing is off unless an endpoint is configured. Each request has two spans: a SERVER span for the
client's request and, below it, a CLIENT span for the request to the model, named after the gen_ai
conventions (gen-ai-spans). Attempts are events of the CLIENT span. Spans contain no prompts,
responses, headers or queries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from undam.errors import UsageError
from undam.gateway.interfaces import EndReason, RequestRecord
from undam.gateway.telemetry.gap_stats import GapStats
from undam.gateway.telemetry.model_labels import clean_label
from undam.gateway.telemetry.observer import operation_of
from undam.gateway.telemetry.traceparent import TraceParent, from_headers
from undam.secrecy import redact_text

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_FAULTS = frozenset(EndReason) - {
    EndReason.COMPLETE,
    EndReason.LOCAL,
    EndReason.CLIENT_LEFT,
    EndReason.SHUTDOWN,
}
_TRACESTATE = b"tracestate"


class _Spans:
    __slots__ = ("model", "offset_s", "server")

    def __init__(self, server: Any, model: Any, offset_s: float) -> None:
        self.server = server
        self.model = model
        self.offset_s = offset_s


class Tracing:
    """Recorder for one worker's spans. Create it after the fork, because the exporter has a thread.

    Args:
        endpoint: base URL of the collector, as in OTEL_EXPORTER_OTLP_ENDPOINT; ``None`` uses that
            variable. Headers, timeouts, the sampler and the service name always come from the
            OTEL_ variables.

    Raises:
        UsageError: the extra ``otel`` is not installed.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        try:
            sdk = import_module("opentelemetry.sdk.trace")
            export = import_module("opentelemetry.sdk.trace.export")
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            resources = import_module("opentelemetry.sdk.resources")
            self._api = import_module("opentelemetry.trace")
            self._state = import_module("opentelemetry.trace.span")
            self._context = import_module("opentelemetry.context")
        except ModuleNotFoundError:
            raise UsageError("tracing needs OpenTelemetry: pip install 'undam[otel]'") from None
        url = None if endpoint is None else endpoint.rstrip("/") + "/v1/traces"
        service_name = os.environ.get("OTEL_SERVICE_NAME") or "undam-gateway"
        resource = resources.Resource.create({"service.name": service_name})
        self._provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = otlp.OTLPSpanExporter(endpoint=url)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("undam.gateway")

    def request_started(self, record: RequestRecord) -> object:
        """Start the SERVER and CLIENT spans. The traceparent sent upstream refers to the latter."""
        request = record.request
        assert request is not None
        offset_s = time.time() - time.monotonic()
        begin_ns = round((record.started_at + offset_s) * 1e9)
        server = self._tracer.start_span(
            request.method,
            context=self._parent(from_headers(request.headers), request.get(_TRACESTATE)),
            kind=self._api.SpanKind.SERVER,
            start_time=begin_ns,
            attributes={
                "http.request.method": request.method,
                "url.path": redact_text(clean_label(request.path)),
                "undam.request_id": request.request_id,
                **({"undam.key": request.key_name} if request.key_name else {}),
            },
        )
        operation, provider = operation_of(request.api)
        model = clean_label(request.model)
        span = self._tracer.start_span(
            f"{operation} {model}".strip() or request.method,
            context=self._api.set_span_in_context(server),
            kind=self._api.SpanKind.CLIENT,
            start_time=begin_ns,
            attributes=_without_empty(
                {
                    "gen_ai.operation.name": operation,
                    "gen_ai.provider.name": provider,
                    "gen_ai.request.model": model,
                    "gen_ai.request.stream": request.streams,
                }
            ),
        )
        context = span.get_span_context()
        parent = TraceParent(
            f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags)
        )
        record.tracing.append((b"traceparent", parent.header()))
        return _Spans(server, span, offset_s)

    def event(self, span: object, name: str, upstream: str) -> None:
        """Add a span event for an attempt or its failure."""
        assert isinstance(span, _Spans)
        span.model.add_event(f"undam.{name}", {"undam.upstream": upstream})

    def request_ended(self, span: object, record: RequestRecord, gaps: GapStats) -> None:
        """Set the result, and end both spans."""
        assert isinstance(span, _Spans)
        end_reason = record.end_reason or EndReason.LOCAL
        attributes: dict[str, Any] = {
            "http.response.status_code": record.status,
            "undam.ended": end_reason.value,
            "undam.heartbeats": record.heartbeats,
            "undam.retries": record.retries,
            "undam.hedged": record.hedged,
        }
        if record.content_at is not None:
            seconds = record.content_at - record.started_at
            attributes["gen_ai.response.time_to_first_chunk"] = seconds
        if gaps.p99_s is not None:
            attributes["undam.gap_p99_s"] = gaps.p99_s
        if record.upstream is not None:
            attributes["server.address"] = record.upstream.host
            attributes["server.port"] = record.upstream.port
        if end_reason in _FAULTS or record.status >= 500:
            status = self._api.Status(self._api.StatusCode.ERROR, end_reason.value)
            attributes["error.type"] = (
                end_reason.value if end_reason in _FAULTS else str(record.status)
            )
            span.model.set_status(status)
            span.server.set_status(status)
        span.model.set_attributes(_without_empty(attributes))
        span.server.set_attributes(_without_empty({"http.response.status_code": record.status}))
        end_ns = round((max(record.ended_at, record.started_at) + span.offset_s) * 1e9)
        span.model.end(end_ns)
        span.server.end(end_ns)

    def close(self) -> None:
        """Export the remaining spans; block for at most the exporter's timeout."""
        self._provider.shutdown()

    def _parent(self, parent: TraceParent | None, state: bytes | None) -> Any:
        context = self._context.Context()
        if parent is None:
            return context
        states = self._state.TraceState.from_header([state.decode("latin-1")] if state else [])
        remote = self._api.SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True,
            trace_flags=self._api.TraceFlags(parent.flags & 1), trace_state=states,
        )  # fmt: skip
        return self._api.set_span_in_context(self._api.NonRecordingSpan(remote), context)


def tracing_if_configured(
    endpoint: str | None = None, environment: Mapping[str, str] = os.environ
) -> Tracing | None:
    """Return a ``Tracing`` if an endpoint is given, or set in OpenTelemetry's variables.

    Raises:
        UsageError: tracing is configured but not installed.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if endpoint is None and not any(environment.get(name) for name in _ENDPOINTS):
        return None
    return Tracing(endpoint)


def _without_empty(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in ("", None)}
