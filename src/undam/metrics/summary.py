"""The summary of a load test: what a report, a live view and a comparison are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from undam.metrics.aggregate import Aggregate
from undam.metrics.causes import find_causes
from undam.metrics.json_form import ms, percentiles, request_json
from undam.metrics.load_generator import LoadGeneratorStats
from undam.metrics.stalls import Stalls, count_stalls
from undam.record import Outcome, RequestResult
from undam.rules import Finding
from undam.rules.model import finding_json
from undam.timing import Histogram

SCHEMA = 1

TIMES = ("ttft", "itl", "tpot", "e2e", "send_delay")

# 0.1 %: enough for any chart.
_DRAWN_BITS = 11


class Summary(Aggregate):
    """Aggregate with derived results: distributions, stalls, findings, JSON."""

    __slots__ = ()

    def times(self, name: str) -> Histogram:
        """The distribution of one of ``TIMES``, ns; gaps that are uncertain as they are told."""
        value = getattr(self, name)
        return value if isinstance(value, Histogram) else value.expected()

    def stalls(self) -> Stalls:
        """Gaps that a reader notices."""
        return count_stalls(self)

    def findings(
        self, client: LoadGeneratorStats | None = None, *, hop: str = "target"
    ) -> list[Finding]:
        """What must be said about these figures; nothing about an orderly run."""
        return find_causes(self, client, hop=hop)

    @property
    def tokens_from(self) -> str:
        """Whether tokens are the server's ("usage"), counted ("events"), or both."""
        if not self.untold_events:
            return "usage" if self.events else "events"
        return "events" if self.untold_events == self.events else "usage, else events"

    def rate(self, count: float) -> float:
        """``count`` a second of this run; 0 of a run without duration."""
        return count / (self.duration_ns / 1e9) if self.duration_ns else 0.0

    def to_json(
        self,
        client: LoadGeneratorStats | None = None,
        *,
        hop: str = "target",
        about: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """The result as other programs read it; times in ms.

        Args:
            hop: the name of the target in findings.
            about: what was measured, by whom and with which load; stands at the top. ``compare``
                tells in words where ``url``, ``model``, ``api``, ``load`` or ``host`` differ.
        """
        client = client or LoadGeneratorStats()
        return {
            "schema": SCHEMA,
            "command": "bench",
            **(about or {}),
            **self._counts(),
            **{f"{name}_ms": percentiles(self.times(name)) for name in TIMES},
            **self._rates(),
            **self._stalls(),
            "client": self._client(client),
            "findings": [finding_json(one) for one in self.findings(client, hop=hop)],
            "histograms": {
                name: self.times(name).coarser(_DRAWN_BITS).to_sparse() for name in TIMES
            },
            "timeline": self._timeline(),
            "blocks": self._blocks(),
            "slowest": [request_json(one) for one in self.slowest],
        } | {"itl_ms": self._itl()}

    def _counts(self) -> dict[str, Any]:
        errors = {kind: n for (o, kind), n in self.kinds.items() if o is Outcome.ERROR}
        partial = {kind: n for (o, kind), n in self.kinds.items() if o is Outcome.INCOMPLETE}
        return {
            "requests": self.requests,
            "complete": self.outcomes[Outcome.COMPLETE],
            "errors": self.outcomes[Outcome.ERROR],
            "incomplete": self.outcomes[Outcome.INCOMPLETE],
            "abandoned": self.outcomes[Outcome.ABANDONED],
            "warmup": self.warmup,
            "without_content": self.without_content,
            "duration_s": round(self.duration_ns / 1e9, 6),
            "errors_by_kind": dict(sorted(errors.items())),
            "incomplete_by_kind": dict(sorted(partial.items())),
            "failed_by_status": {str(key): n for key, n in sorted(self.statuses.items())},
            "messages": {kind: text for kind, (_, text) in sorted(self.messages.items())},
            "retry_after": self._retry_after(),
        }

    def _retry_after(self) -> dict[str, Any]:
        asked = self.asked_again
        if asked.min is None or asked.max is None:
            return {"count": 0, "min_s": None, "max_s": None}
        return {"count": asked.count, "min_s": asked.min / 1e9, "max_s": asked.max / 1e9}

    def _rates(self) -> dict[str, Any]:
        reads = self.per_read
        p50, p99 = reads.quantiles(0.5, 0.99) if reads.count else (None, None)
        return {
            "events": self.events,
            "tokens": self.tokens + self.untold_events,
            "tokens_from": self.tokens_from,
            "events_per_second": round(self.rate(self.events), 3),
            "tokens_per_second": round(self.rate(self.tokens + self.untold_events), 3),
            "requests_per_second": round(self.rate(self.outcomes[Outcome.COMPLETE]), 3),
            "events_per_read": {"p50": p50, "p99": p99, "max": reads.max},
        }

    def _stalls(self) -> dict[str, Any]:
        stalls = self.stalls()
        return {
            "stalls": stalls.count,
            "stall_ms": ms(stalls.limit_ns),
            "stalled_answers": stalls.answers,
            "longest_gaps": [
                {"gap_ms": ms(one.gap_ns), "request": one.number, "after_events": one.after_events}
                for one in self.pauses
                if one.gap_ns > stalls.limit_ns
            ],
            "heartbeats": self.heartbeats,
            "empties": self.empties,
        }

    def _client(self, client: LoadGeneratorStats) -> dict[str, Any]:
        late = self.late
        return {
            "clock": "user" if self.unstamped > 0.01 * self.requests else "kernel",
            "late_ms_p99": ms(late.quantile(0.99)) if late.count else None,
            "late_ms_max": None if late.max is None else ms(late.max),
            "uncertain_gaps": self.uncertain,
            "cpu_percent": client.cpu_percent,
            "waited_percent": client.waited_percent,
            "workers": client.workers,
            "clock_step_ms": ms(client.step_ns),
        }

    def _itl(self) -> dict[str, Any]:
        """With the gaps that are no value of the distribution, and how far it can be off."""
        within = self.bounded
        return percentiles(self.times("itl")) | {
            "bounded": within.count,
            "bounded_ms_p99": ms(within.quantile(0.99)) if within.count else None,
            "lowest": percentiles(self.itl.lowest()),
            "highest": percentiles(self.itl.highest()),
        }

    def _timeline(self) -> dict[str, Any]:
        """By time from when the first request was due; a row a section in which anything was."""
        begun = self.first_ns or 0
        return {
            "width_ms": ms(1 << self.time_buckets.shift),
            "columns": ["at_ms", "started", "ended", "failed", "events", "ttft_p50_ms", "late_ms"],
            "rows": [
                [
                    ms(at - begun), row.started, row.ended, row.failed, row.events,
                    ms(row.ttft.quantile(0.5)) if row.ttft.count else None, ms(row.late_ns),
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


def summarize(measured: Iterable[RequestResult]) -> Summary:
    """The summary of these requests, in any order."""
    summary = Summary()
    summary.add_all(measured)
    return summary
