"""Summary of a load test, as input for reports, the live display and comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undam.metrics.aggregate import Aggregate
from undam.metrics.causes import find_causes
from undam.metrics.json_form import percentiles, request_json
from undam.metrics.load_generator import LoadGeneratorStats
from undam.metrics.stalls import Stalls, count_stalls
from undam.metrics.validity.asked import RequestedLoad, requested_load
from undam.metrics.validity.flow import LoadFlow
from undam.metrics.validity.report import caveats_in, caveats_json, flow_json, load_json
from undam.record import Outcome, RequestResult
from undam.record.request_result import INTEGRITY_FAULTS
from undam.rules import Finding
from undam.rules.model import finding_json
from undam.timing import Histogram, to_ms

SCHEMA = 1

TIMES = ("ttft", "itl", "tpot", "e2e", "send_delay")

# Kinds of failure for responses with invalid JSON or an unterminated event.
_TRUNCATED_JSON = frozenset({"malformed", "half-event"})

# Resolution 0.1 %, which is precise enough for any chart.
_CHART_BITS = 11


class Summary(Aggregate):
    """Aggregate with derived results: distributions, stalls, findings and JSON."""

    __slots__ = ()

    def times(self, name: str) -> Histogram:
        """Return the distribution of one of ``TIMES`` in ns; uncertain gaps count as estimated."""
        value = getattr(self, name)
        return value if isinstance(value, Histogram) else value.expected()

    def stalls(self) -> Stalls:
        """Return the stalls of the run."""
        return count_stalls(self)

    def findings(
        self,
        client: LoadGeneratorStats | None = None,
        *,
        hop: str = "target",
        asked: RequestedLoad | None = None,
    ) -> list[Finding]:
        """Return the findings of the run; empty if there are no problems."""
        return find_causes(self, client, hop=hop, asked=asked)

    @property
    def failed_share(self) -> float:
        """Share of requests without a complete response."""
        failed = self.outcomes[Outcome.ERROR] + self.outcomes[Outcome.INCOMPLETE]
        return failed / self.requests if self.requests else 0.0

    @property
    def tokens_from(self) -> str:
        """Source of the token count: "usage" from the server, counted "events", or both."""
        if not self.events_without_usage:
            return "usage" if self.events else "events"
        return "events" if self.events_without_usage == self.events else "usage, else events"

    def rate(self, count: float) -> float:
        """Return ``count`` per second; 0 if the run has no duration."""
        return count / (self.duration_ns / 1e9) if self.duration_ns else 0.0

    @property
    def requests_per_second(self) -> float:
        """Complete responses per second over the whole run."""
        return self.rate(self.outcomes[Outcome.COMPLETE])

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second over the whole run."""
        return self.rate(self.tokens + self.events_without_usage)

    @property
    def events_per_second(self) -> float:
        """Content events per second over the whole run."""
        return self.rate(self.events)

    def to_json(
        self,
        client: LoadGeneratorStats | None = None,
        *,
        hop: str = "target",
        about: Mapping[str, object] | None = None,
        findings: Sequence[Finding] | None = None,
    ) -> dict[str, Any]:
        """Return the result as JSON; times in ms.

        Args:
            hop: name of the target in findings.
            about: conditions of the run, placed at the top. ``compare`` reports differences of
                ``url``, ``model``, ``api``, ``load`` and ``host``.
            findings: the findings, if they are known already.
        """
        client = client or LoadGeneratorStats()
        asked = requested_load(about or {})
        flow = LoadFlow(self, asked)
        if findings is None:
            findings = self.findings(client, hop=hop, asked=asked)
        return {
            "schema": SCHEMA,
            "command": "bench",
            **(about or {}),
            **caveats_json(caveats_in(findings, self.failed_share)),
            **self._counts(),
            **flow_json(flow),
            **{f"{name}_ms": percentiles(self.times(name)) for name in TIMES},
            **self._first_answer(),
            **self._rates(),
            **self._stalls(),
            "integrity": self._integrity(),
            "client": self._client(client),
            "findings": [finding_json(one) for one in findings],
            "histograms": {
                name: self.times(name).coarser(_CHART_BITS).to_sparse() for name in TIMES
            },
            "timeline": self._timeline(),
            "load_over_time": load_json(flow, self.first_ns or 0),
            "blocks": self._blocks(),
            "slowest": [request_json(one) for one in self.slowest],
        } | {"itl_ms": self._itl(), "ttft_ms": self._ttft()}

    def _ttft(self) -> dict[str, Any]:
        """Return the TTFT, the number of requests, and the number of requests that timed out."""
        times = percentiles(self.times("ttft"))
        return times | {"of": self.requests, "timed_out": self.timed_out}

    def _first_answer(self) -> dict[str, Any]:
        """Return the time to the first content that is not reasoning, if it differs from TTFT."""
        if self.first_answer == self.ttft.exact or not self.first_answer.count:
            return {}
        return {"first_answer_ms": percentiles(self.first_answer)}

    def _counts(self) -> dict[str, Any]:
        errors = {kind: n for (o, kind), n in self.failure_kinds.items() if o is Outcome.ERROR}
        partial = {
            kind: n for (o, kind), n in self.failure_kinds.items() if o is Outcome.INCOMPLETE
        }
        return {
            "requests": self.requests,
            "complete": self.outcomes[Outcome.COMPLETE],
            "errors": self.outcomes[Outcome.ERROR],
            "incomplete": self.outcomes[Outcome.INCOMPLETE],
            "abandoned": self.outcomes[Outcome.ABANDONED],
            "cancelled": self.cancelled,
            "warmup": self.warmup,
            "without_content": self.without_content,
            "duration_s": round(self.duration_ns / 1e9, 6),
            "errors_by_kind": dict(sorted(errors.items())),
            "incomplete_by_kind": dict(sorted(partial.items())),
            "failed_by_status": {str(key): n for key, n in sorted(self.failure_statuses.items())},
            "messages": {kind: text for kind, (_, text) in sorted(self.failure_messages.items())},
            "retry_after": self._retry_after(),
        }

    def _retry_after(self) -> dict[str, Any]:
        waits = self.retry_after
        if waits.min is None or waits.max is None:
            return {"count": 0, "min_s": None, "max_s": None}
        return {"count": waits.count, "min_s": waits.min / 1e9, "max_s": waits.max / 1e9}

    def _rates(self) -> dict[str, Any]:
        reads = self.events_per_read
        p50, p99 = reads.quantiles(0.5, 0.99) if reads.count else (None, None)
        return {
            "events": self.events,
            "tokens": self.tokens + self.events_without_usage,
            "tokens_from": self.tokens_from,
            "input_tokens": self.input_tokens or None,
            "cached_tokens": self.cached_tokens if self.prompt_tokens else None,
            "cached_percent": round(100 * self.cached_tokens / self.prompt_tokens, 2)
            if self.prompt_tokens
            else None,
            "reasoning_tokens": self.reasoning_tokens or None,
            "events_per_second": round(self.events_per_second, 3),
            "tokens_per_second": round(self.tokens_per_second, 3),
            "requests_per_second": round(self.requests_per_second, 3),
            "events_per_read": {"p50": p50, "p99": p99, "max": reads.max},
        }

    def _stalls(self) -> dict[str, Any]:
        stalls = self.stalls()
        return {
            "stalls": stalls.count,
            "stall_ms": to_ms(stalls.limit_ns),
            "stalled_answers": stalls.answers,
            "longest_gaps": [
                {
                    "gap_ms": to_ms(one.gap_ns),
                    "request": one.number,
                    "after_events": one.after_events,
                }
                for one in self.long_gaps
                if one.gap_ns > stalls.limit_ns
            ],
            "heartbeats": self.heartbeats,
            "empties": self.empties,
        }

    def _integrity(self) -> dict[str, int]:
        """Return the content faults by kind, and the number of responses that they affect."""
        counts = Counter[str]()
        for (kind, _), n in self.content_faults.items():
            counts[kind] += n
        truncated = sum(n for (_, kind), n in self.failure_kinds.items() if kind in _TRUNCATED_JSON)
        return {
            "checked": self.checked_answers,
            "damaged": self.damaged_answers,
            **{kind: counts[kind] for kind in INTEGRITY_FAULTS},
            "truncated_json": truncated,
        }

    def _client(self, client: LoadGeneratorStats) -> dict[str, Any]:
        late = self.read_lateness
        return {
            "clock": "user" if self.unstamped > 0.01 * self.requests else "kernel",
            "late_ms_p99": to_ms(late.quantile(0.99)) if late.count else None,
            "late_ms_max": None if late.max is None else to_ms(late.max),
            "uncertain_gaps": self.uncertain_gaps,
            "cpu_percent": client.cpu_percent,
            "waited_percent": client.waited_percent,
            "workers": client.workers,
            "clock_step_ms": to_ms(client.step_ns),
        }

    def _itl(self) -> dict[str, Any]:
        """Return the ITL, the timeouts, the gaps inside batches, and the bounds of the ITL."""
        batched = self.batched_gaps
        return percentiles(self.times("itl")) | {
            "timed_out": self.timed_out_gaps,
            "bounded": batched.count,
            "bounded_ms_p99": to_ms(batched.quantile(0.99)) if batched.count else None,
            "lowest": percentiles(self.itl.lowest()),
            "highest": percentiles(self.itl.highest()),
        }

    def _timeline(self) -> dict[str, Any]:
        """Return one row per time bucket in use; times are from the first intended start."""
        start_ns = self.first_ns or 0
        return {
            "width_ms": to_ms(1 << self.time_buckets.shift),
            "columns": ["at_ms", "started", "ended", "failed", "events", "ttft_p50_ms", "late_ms"],
            "rows": [
                [
                    to_ms(at - start_ns), row.started, row.ended, row.failed, row.events,
                    to_ms(row.ttft.quantile(0.5)) if row.ttft.count else None, to_ms(row.late_ns),
                ]
                for at, row in self.time_buckets
            ],
        }  # fmt: skip

    def _blocks(self) -> dict[str, Any]:
        return {
            "requests_each": 1 << self.blocks.shift,
            "rows": [
                {
                    "first": first,
                    "requests": block.requests,
                    "failed": block.failed,
                    **{
                        name: getattr(block, name).to_sparse()
                        for name in ("ttft", "itl", "tpot", "e2e")
                    },
                }
                for first, block in self.blocks
            ],
        }


def summarize(results: Iterable[RequestResult]) -> Summary:
    """Return the summary of ``results``, which may be in any order."""
    summary = Summary()
    summary.add_all(results)
    return summary
