"""What the relay tells, turned into metrics, a line of the access log and a span."""

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
    """Makes a span of a record; see ``tracing``."""

    def began(self, record: RequestRecord) -> object: ...

    def event(self, span: object, name: str, upstream: str) -> None: ...

    def ended(self, span: object, record: RequestRecord, gaps: GapStats) -> None: ...


@dataclass(slots=True)
class RequestTelemetry:
    """What is kept of a record in flight."""

    gaps: GapStats = field(default_factory=GapStats)
    asked: list[Upstream] = field(default_factory=list)
    model: str | None = None
    """The label it took, from the first content on."""
    labels: tuple[str, str, str, str] | None = None
    """Those of its model's series, from the first content on."""
    gap_series: memoryview[int] | None = None
    counted: bool = False
    span: object = None


class Telemetry:
    """An ``Observer``. The router shares its ``metrics`` for what only it knows.

    Args:
        access_log: where a line about each record goes; the gateway's own pages get none.
        tracer: makes spans, where that is on.
    """

    def __init__(
        self,
        metrics: WorkerMetrics,
        *,
        access_log: AccessLog | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.metrics = metrics
        # What every request adds to.
        self._requests, self._streams = metrics.series(m.IN_FLIGHT), metrics.series(m.STREAMS)
        self._in, self._out = metrics.series(m.BYTES, "in"), metrics.series(m.BYTES, "out")
        self._heartbeats = metrics.series(m.HEARTBEATS)
        self._log = access_log
        self._tracer = tracer

    def began(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        if _is_local(record):
            return
        observed = _of(record)
        observed.counted = True
        self._in_flight(record, 1)
        if self._tracer is not None and record.request is not None:
            observed.span = self._tracer.began(record)

    def sent(self, record: RequestRecord, upstream: Upstream, why: AttemptKind) -> None:
        """See ``Observer``."""
        metrics, observed = self.metrics, _of(record)
        name = clean_label(upstream.name)
        metrics.count(m.UPSTREAM_REQUESTS, name, why)
        metrics.count(m.UPSTREAM_IN_FLIGHT, name)
        observed.asked.append(upstream)
        if why == "hedge":
            metrics.count(m.HEDGES, "sent")
        elif why == "retry":
            metrics.count(m.RETRIES, name)
        if self._tracer is not None and observed.span is not None:
            self._tracer.event(observed.span, why, upstream.name)

    def hedge_denied(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        self.metrics.count(m.HEDGES_DENIED, self.metrics.take_denial())

    def first_content(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        observed, upstream = _of(record), record.upstream
        if record.request is None or upstream is None or record.content_at is None:
            return
        if len(observed.asked) > 1:
            for loser in [one for one in observed.asked if one is not upstream]:
                self._answered(observed, loser)
        observed.model = self.metrics.models.take(record.request.model, record.content_at)
        if record.request.api is not PLAIN:
            waited_s = record.content_at - record.began_at
            self.metrics.observe(m.TTFT, waited_s, *self._labels(record))

    def gaps(self, record: RequestRecord, gaps: Sequence[float]) -> None:
        """See ``Observer``."""
        observed = _of(record)
        found = observed.gaps.add(gaps)
        if found and record.request is not None and record.request.api is not PLAIN:
            series = observed.gap_series
            if series is None:
                series = self.metrics.series(m.GAP, *self._labels(record))
                if observed.labels is not None:
                    observed.gap_series = series  # Not dropped while its model has streams.
            add_sorted(series, m.GAP, found)

    def heartbeat(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        self._heartbeats[0] += 1

    def upstream_failed(
        self, record: RequestRecord, upstream: Upstream, result: UpstreamResult
    ) -> None:
        """See ``Observer``."""
        self._answered(_of(record), upstream)
        self.metrics.count(m.UPSTREAM_ERRORS, clean_label(upstream.name), result.value)
        observed = _of(record)
        if self._tracer is not None and observed.span is not None:
            self._tracer.event(observed.span, result.value, upstream.name)

    def ended(self, record: RequestRecord) -> None:
        """See ``Observer``."""
        if _is_local(record):
            return
        observed, metrics = _of(record), self.metrics
        for upstream in list(observed.asked):
            self._answered(observed, upstream)
        if observed.counted:
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
        if self._tracer is not None and observed.span is not None:
            self._tracer.ended(observed.span, record, observed.gaps)
        if self._log is not None:
            self._log.note(record, observed.gaps)
        if observed.model is not None:
            metrics.models.release(observed.model)

    def _model_ended(self, record: RequestRecord, end_reason: EndReason) -> None:
        labels = self._labels(record)
        error = "" if end_reason in _GOOD and record.status < 400 else _error(record, end_reason)
        seconds = max(0.0, record.ended_at - record.began_at)
        self.metrics.observe(m.DURATION, seconds, *labels, error)
        mean_s = _of(record).gaps.mean_s
        if mean_s is not None and not error:
            self.metrics.observe(m.TPOT, mean_s, *labels)

    def _labels(self, record: RequestRecord) -> tuple[str, str, str, str]:
        assert record.request is not None
        observed = _of(record)
        if observed.labels is not None:
            return observed.labels
        model = observed.model
        if model is None:
            model = self.metrics.models.known(record.request.model)
        upstream = clean_label(record.upstream.name) if record.upstream is not None else ""
        labels = (upstream, model, *operation_of(record.request.api))
        if observed.model is not None:
            observed.labels = labels
        return labels

    def _in_flight(self, record: RequestRecord, by: int) -> None:
        self._requests[0] += by
        if record.request is not None and record.request.streams:
            self._streams[0] += by

    def _answered(self, observed: RequestTelemetry, upstream: Upstream) -> None:
        for place, one in enumerate(observed.asked):
            if one is upstream:
                del observed.asked[place]
                self.metrics.count(m.UPSTREAM_IN_FLIGHT, clean_label(upstream.name), by=-1)
                return


def operation_of(api: Api) -> tuple[str, str]:
    """gen_ai.operation.name and gen_ai.provider.name of an API: whose form it has, whoever
    serves it."""
    return _OPERATIONS.get(api.name, ("", ""))


def _is_local(record: RequestRecord) -> bool:
    """A page of the gateway's own: scrapes and probes of health would drown all else."""
    return record.request is not None and record.request.target.startswith(_LOCAL_PATHS)


def _error(record: RequestRecord, end_reason: EndReason) -> str:
    return str(record.status) if end_reason in _GOOD else end_reason.value


def _of(record: RequestRecord) -> RequestTelemetry:
    observed = record.observed
    if type(observed) is RequestTelemetry:
        return observed
    record.observed = observed = RequestTelemetry()
    return observed
