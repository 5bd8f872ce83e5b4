"""Conversion of the relay's events into metrics, access-log lines and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api
from undam.gateway.interfaces import AttemptKind, EndReason, RequestRecord, Upstream, UpstreamResult
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.gap_stats import GapStats
from undam.gateway.telemetry.metrics import WorkerMetrics, add_sorted
from undam.gateway.telemetry.model_labels import clean_label

if TYPE_CHECKING:
    from undam.gateway.telemetry.access_log import AccessLog

_OPERATIONS = {
    CHAT.name: ("chat", "openai"),
    RESPONSES.name: ("chat", "openai"),
    COMPLETIONS.name: ("text_completion", "openai"),
    MESSAGES.name: ("chat", "anthropic"),
}
_GOOD = (EndReason.COMPLETE, EndReason.LOCAL)
_LOCAL_PATHS = "/-/"


class Tracer(Protocol):
    """Interface of the span recorder; see ``tracing``."""

    def request_started(self, record: RequestRecord) -> object: ...

    def event(self, span: object, name: str, upstream: str) -> None: ...

    def request_ended(self, span: object, record: RequestRecord, gaps: GapStats) -> None: ...


@dataclass(slots=True)
class RequestTelemetry:
    """Telemetry state of one request in flight.

    Args:
        attempts: upstreams to which the request was sent and that have not ended.
        model: the acquired model label, from the first content on.
        labels: labels of the model's series, from the first content on.
        counted: the request is included in the gauges of requests in flight.
    """

    gaps: GapStats = field(default_factory=GapStats)
    attempts: list[Upstream] = field(default_factory=list)
    model: str | None = None
    labels: tuple[str, str, str, str] | None = None
    gap_series: memoryview[int] | None = None
    counted: bool = False
    span: object = None


class Telemetry:
    """An ``Observer`` that counts, logs and traces. The router uses the same ``metrics``.

    Args:
        access_log: gets a line for each request, except those to the gateway's own endpoints.
        tracer: creates spans; ``None`` if tracing is off.
    """

    def __init__(
        self,
        metrics: WorkerMetrics,
        *,
        access_log: AccessLog | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.metrics = metrics
        # Series that every request updates.
        self._requests, self._streams = metrics.series(m.IN_FLIGHT), metrics.series(m.STREAMS)
        self._in, self._out = metrics.series(m.BYTES, "in"), metrics.series(m.BYTES, "out")
        self._heartbeats = metrics.series(m.HEARTBEATS)
        self._log = access_log
        self._tracer = tracer

    def request_started(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        if _is_local(record):
            return
        telemetry = _of(record)
        telemetry.counted = True
        self._in_flight(record, 1)
        if self._tracer is not None and record.request is not None and record.request.method:
            telemetry.span = self._tracer.request_started(record)

    def attempt_sent(self, record: RequestRecord, upstream: Upstream, kind: AttemptKind) -> None:
        """See ``Observer``."""
        metrics, telemetry = self.metrics, _of(record)
        name = clean_label(upstream.name)
        metrics.count(m.UPSTREAM_REQUESTS, name, kind)
        metrics.count(m.UPSTREAM_IN_FLIGHT, name)
        telemetry.attempts.append(upstream)
        if kind == "hedge":
            metrics.count(m.HEDGES, "sent")
        elif kind == "retry":
            metrics.count(m.RETRIES, name)
        if self._tracer is not None and telemetry.span is not None:
            self._tracer.event(telemetry.span, kind, upstream.name)

    def hedge_denied(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        self.metrics.count(m.HEDGES_DENIED, self.metrics.take_denial_reason())

    def first_content(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        telemetry, upstream = _of(record), record.upstream
        if record.request is None or upstream is None or record.content_at is None:
            return
        if len(telemetry.attempts) > 1:
            for loser in [one for one in telemetry.attempts if one is not upstream]:
                self._attempt_ended(telemetry, loser)
        telemetry.model = self.metrics.models.acquire(record.request.model, record.content_at)
        if record.request.api is not PLAIN:
            waited_s = record.content_at - record.started_at
            self.metrics.observe(m.TTFT, waited_s, *self._labels(record))

    def gaps(self, record: RequestRecord, gaps: Sequence[float]) -> None:
        """See ``Observer``."""
        telemetry = _of(record)
        ordered = telemetry.gaps.add(gaps)
        if ordered and record.request is not None and record.request.api is not PLAIN:
            series = telemetry.gap_series
            if series is None:
                series = self.metrics.series(m.GAP, *self._labels(record))
                if telemetry.labels is not None:
                    # The series remains valid while streams of its model are open.
                    telemetry.gap_series = series
            add_sorted(series, m.GAP, ordered)

    def heartbeat(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        self._heartbeats[0] += 1

    def upstream_failed(
        self, record: RequestRecord, upstream: Upstream, result: UpstreamResult
    ) -> None:
        """See ``Observer``."""
        self._attempt_ended(_of(record), upstream)
        self.metrics.count(m.UPSTREAM_ERRORS, clean_label(upstream.name), result.value)
        telemetry = _of(record)
        if self._tracer is not None and telemetry.span is not None:
            self._tracer.event(telemetry.span, result.value, upstream.name)

    def request_ended(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        if _is_local(record) and record.end_reason is not EndReason.BAD_REQUEST:
            return
        telemetry, metrics = _of(record), self.metrics
        for upstream in list(telemetry.attempts):
            self._attempt_ended(telemetry, upstream)
        if telemetry.counted:
            self._in_flight(record, -1)
        api: Api = record.request.api if record.request is not None else PLAIN
        end_reason = record.end_reason or EndReason.LOCAL
        metrics.count(m.REQUESTS, api.name, str(record.status))
        metrics.count(m.ENDED, end_reason.value)
        self._in[0] += record.bytes_in
        self._out[0] += record.bytes_out
        if record.hedged in {"won", "lost"}:
            metrics.count(m.HEDGES, record.hedged)
        if end_reason is EndReason.CLIENT_LEFT:
            metrics.count(m.CLIENT_CANCELS, "prefill" if record.content_at is None else "content")
        elif end_reason in {EndReason.REFUSED, EndReason.BAD_REQUEST}:
            metrics.count(m.REFUSED, str(record.status))
        if api is not PLAIN:
            self._model_ended(record, end_reason)
        if self._tracer is not None and telemetry.span is not None:
            self._tracer.request_ended(telemetry.span, record, telemetry.gaps)
        if self._log is not None:
            self._log.log(record, telemetry.gaps)
        if telemetry.model is not None:
            metrics.models.release(telemetry.model)

    def _model_ended(self, record: RequestRecord, end_reason: EndReason) -> None:
        labels = self._labels(record)
        error = "" if end_reason in _GOOD and record.status < 400 else _error(record, end_reason)
        seconds = max(0.0, record.ended_at - record.started_at)
        self.metrics.observe(m.DURATION, seconds, *labels, error)
        mean_s = _of(record).gaps.mean_s
        if mean_s is not None and not error:
            self.metrics.observe(m.TPOT, mean_s, *labels)

    def _labels(self, record: RequestRecord) -> tuple[str, str, str, str]:
        assert record.request is not None
        telemetry = _of(record)
        if telemetry.labels is not None:
            return telemetry.labels
        model = telemetry.model
        if model is None:
            model = self.metrics.models.known(record.request.model)
        upstream = clean_label(record.upstream.name) if record.upstream is not None else ""
        labels = (upstream, model, *operation_of(record.request.api))
        if telemetry.model is not None:
            telemetry.labels = labels
        return labels

    def _in_flight(self, record: RequestRecord, by: int) -> None:
        self._requests[0] += by
        if record.request is not None and record.request.streams:
            self._streams[0] += by

    def _attempt_ended(self, telemetry: RequestTelemetry, upstream: Upstream) -> None:
        for index, one in enumerate(telemetry.attempts):
            if one is upstream:
                del telemetry.attempts[index]
                self.metrics.count(m.UPSTREAM_IN_FLIGHT, clean_label(upstream.name), by=-1)
                return


def operation_of(api: Api) -> tuple[str, str]:
    """Return the values of gen_ai.operation.name and gen_ai.provider.name for an API.

    The provider is the company that defined the API, not the one that serves it.
    """
    return _OPERATIONS.get(api.name, ("", ""))


def _is_local(record: RequestRecord) -> bool:
    """Return whether the gateway answers the request without an upstream.

    Such requests are not counted, since scrapes and health checks would outnumber all others.
    """
    return record.request is not None and record.request.target.startswith(_LOCAL_PATHS)


def _error(record: RequestRecord, end_reason: EndReason) -> str:
    return str(record.status) if end_reason in _GOOD else end_reason.value


def _of(record: RequestRecord) -> RequestTelemetry:
    telemetry = record.observed
    if type(telemetry) is RequestTelemetry:
        return telemetry
    record.observed = telemetry = RequestTelemetry()
    return telemetry
