"""What the relay tells, turned into metrics, a line of the access log and a span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api
from undam.gateway.interfaces import Ending, Passage, SentWhy, Upstream, Verdict
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.gap_stats import Gaps
from undam.gateway.telemetry.metrics import Metrics, add_sorted
from undam.gateway.telemetry.model_labels import clean_label

if TYPE_CHECKING:
    from undam.gateway.telemetry.access_log import AccessLog

_OPERATIONS = {
    CHAT.name: ("chat", "openai"),
    RESPONSES.name: ("chat", "openai"),
    COMPLETIONS.name: ("text_completion", "openai"),
    MESSAGES.name: ("chat", "anthropic"),
}
_GOOD = (Ending.COMPLETE, Ending.LOCAL)
_LOCAL_PATHS = "/-/"


class Tracer(Protocol):
    """Makes a span of a passage; see ``tracing``."""

    def began(self, passage: Passage) -> object: ...

    def event(self, span: object, name: str, upstream: str) -> None: ...

    def ended(self, span: object, passage: Passage, gaps: Gaps) -> None: ...


@dataclass(slots=True)
class Observed:
    """What is kept of a passage in flight."""

    gaps: Gaps = field(default_factory=Gaps)
    asked: list[Upstream] = field(default_factory=list)
    model: str | None = None
    """The label it took, from the first content on."""
    labels: tuple[str, str, str, str] | None = None
    """Those of its model's series, from the first content on."""
    gap_series: memoryview[int] | None = None
    counted: bool = False
    span: object = None


class Telemetry:
    """An ``Observer``. The director shares its ``metrics`` for what only it knows.

    Args:
        access_log: where a line about each passage goes; the gateway's own pages get none.
        tracer: makes spans, where that is on.
    """

    def __init__(
        self, metrics: Metrics, *, access_log: AccessLog | None = None, tracer: Tracer | None = None
    ) -> None:
        self.metrics = metrics
        # What every request adds to.
        self._requests, self._streams = metrics.series(m.IN_FLIGHT), metrics.series(m.STREAMS)
        self._in, self._out = metrics.series(m.BYTES, "in"), metrics.series(m.BYTES, "out")
        self._heartbeats = metrics.series(m.HEARTBEATS)
        self._log = access_log
        self._tracer = tracer

    def began(self, passage: Passage) -> None:
        """See ``Observer``."""
        if _is_local(passage):
            return
        observed = _of(passage)
        observed.counted = True
        self._in_flight(passage, 1)
        if self._tracer is not None and passage.request is not None:
            observed.span = self._tracer.began(passage)

    def sent(self, passage: Passage, upstream: Upstream, why: SentWhy) -> None:
        """See ``Observer``."""
        metrics, observed = self.metrics, _of(passage)
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

    def hedge_denied(self, passage: Passage) -> None:
        """See ``Observer``."""
        self.metrics.count(m.HEDGES_DENIED, self.metrics.take_denial())

    def first_content(self, passage: Passage) -> None:
        """See ``Observer``."""
        observed, upstream = _of(passage), passage.upstream
        if passage.request is None or upstream is None or passage.content_at is None:
            return
        if len(observed.asked) > 1:
            for loser in [one for one in observed.asked if one is not upstream]:
                self._answered(observed, loser)
        observed.model = self.metrics.models.take(passage.request.model, passage.content_at)
        if passage.request.api is not PLAIN:
            waited_s = passage.content_at - passage.began_at
            self.metrics.observe(m.TTFT, waited_s, *self._labels(passage))

    def gaps(self, passage: Passage, gaps: Sequence[float]) -> None:
        """See ``Observer``."""
        observed = _of(passage)
        found = observed.gaps.add(gaps)
        if found and passage.request is not None and passage.request.api is not PLAIN:
            series = observed.gap_series
            if series is None:
                series = self.metrics.series(m.GAP, *self._labels(passage))
                if observed.labels is not None:
                    observed.gap_series = series  # Not dropped while its model has streams.
            add_sorted(series, m.GAP, found)

    def heartbeat(self, passage: Passage) -> None:
        """See ``Observer``."""
        self._heartbeats[0] += 1

    def upstream_failed(self, passage: Passage, upstream: Upstream, verdict: Verdict) -> None:
        """See ``Observer``."""
        self._answered(_of(passage), upstream)
        self.metrics.count(m.UPSTREAM_ERRORS, clean_label(upstream.name), verdict.value)
        observed = _of(passage)
        if self._tracer is not None and observed.span is not None:
            self._tracer.event(observed.span, verdict.value, upstream.name)

    def ended(self, passage: Passage) -> None:
        """See ``Observer``."""
        if _is_local(passage):
            return
        observed, metrics = _of(passage), self.metrics
        for upstream in list(observed.asked):
            self._answered(observed, upstream)
        if observed.counted:
            self._in_flight(passage, -1)
        api: Api = passage.request.api if passage.request is not None else PLAIN
        ending = passage.ending or Ending.LOCAL
        metrics.count(m.REQUESTS, api.name, str(passage.status))
        metrics.count(m.ENDED, ending.value)
        self._in[0] += passage.bytes_in
        self._out[0] += passage.bytes_out
        if passage.hedged in {"won", "lost"}:
            metrics.count(m.HEDGES, passage.hedged)
        if ending is Ending.CLIENT_LEFT:
            metrics.count(m.CLIENT_CANCELS, "prefill" if passage.content_at is None else "content")
        elif ending in {Ending.REFUSED, Ending.BAD_REQUEST}:
            metrics.count(m.REFUSED, str(passage.status))
        if api is not PLAIN:
            self._model_ended(passage, ending)
        if self._tracer is not None and observed.span is not None:
            self._tracer.ended(observed.span, passage, observed.gaps)
        if self._log is not None:
            self._log.note(passage, observed.gaps)
        if observed.model is not None:
            metrics.models.release(observed.model)

    def _model_ended(self, passage: Passage, ending: Ending) -> None:
        labels = self._labels(passage)
        error = "" if ending in _GOOD and passage.status < 400 else _error(passage, ending)
        seconds = max(0.0, passage.ended_at - passage.began_at)
        self.metrics.observe(m.DURATION, seconds, *labels, error)
        mean_s = _of(passage).gaps.mean_s
        if mean_s is not None and not error:
            self.metrics.observe(m.TPOT, mean_s, *labels)

    def _labels(self, passage: Passage) -> tuple[str, str, str, str]:
        assert passage.request is not None
        observed = _of(passage)
        if observed.labels is not None:
            return observed.labels
        model = observed.model
        if model is None:
            model = self.metrics.models.known(passage.request.model)
        upstream = clean_label(passage.upstream.name) if passage.upstream is not None else ""
        labels = (upstream, model, *operation_of(passage.request.api))
        if observed.model is not None:
            observed.labels = labels
        return labels

    def _in_flight(self, passage: Passage, by: int) -> None:
        self._requests[0] += by
        if passage.request is not None and passage.request.streams:
            self._streams[0] += by

    def _answered(self, observed: Observed, upstream: Upstream) -> None:
        for place, one in enumerate(observed.asked):
            if one is upstream:
                del observed.asked[place]
                self.metrics.count(m.UPSTREAM_IN_FLIGHT, clean_label(upstream.name), by=-1)
                return


def operation_of(api: Api) -> tuple[str, str]:
    """gen_ai.operation.name and gen_ai.provider.name of an API: whose form it has, whoever
    serves it."""
    return _OPERATIONS.get(api.name, ("", ""))


def _is_local(passage: Passage) -> bool:
    """A page of the gateway's own: scrapes and probes of health would drown all else."""
    return passage.request is not None and passage.request.target.startswith(_LOCAL_PATHS)


def _error(passage: Passage, ending: Ending) -> str:
    return str(passage.status) if ending in _GOOD else ending.value


def _of(passage: Passage) -> Observed:
    observed = passage.observed
    if type(observed) is Observed:
        return observed
    passage.observed = observed = Observed()
    return observed
