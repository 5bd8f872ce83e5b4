"""Result of one run: metrics, objectives and lost workers, as JSON and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from undam.cli.commands.bench.arguments import Step
from undam.cli.commands.bench.breakdown import Breakdown
from undam.cli.commands.bench.live_stats import LiveStats
from undam.cli.commands.bench.setup import BenchSetup, load_about
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.loadtest.coordinator.run import RunResult
from undam.loadtest.coordinator.search import StepOutcome
from undam.loadtest.setup.slo import Slo, SloResult, slo_json
from undam.loadtest.setup.slo_values import meets_all, slo_result
from undam.metrics import LoadGeneratorStats, Summary
from undam.metrics.server.timeline import ServerTimeline
from undam.metrics.validity.asked import requested_load
from undam.metrics.validity.flow import LoadFlow
from undam.metrics.validity.report import caveats_in
from undam.record import Outcome
from undam.record.request_result import LOCAL_LIMIT
from undam.rules import Finding, Severity

# Findings that do not affect the exit code if an objective covers the same failures.
_COVERED_BY = {"UD610": ("errors", "goodput"), "UD609": ("incomplete", "goodput")}
# Findings about delays of the load generator.
_OF_CLIENT = frozenset({"UD901", "UD907", "UD908", "UD909"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Result of one load test run."""

    step: Step
    setup: BenchSetup
    run_result: RunResult
    summary: Summary
    slos: tuple[SloResult, ...]
    client: LoadGeneratorStats
    hop: str
    good_percent: float | None
    about: Mapping[str, object]
    server: ServerTimeline | None = None
    breakdown: Breakdown | None = None

    @property
    def findings(self) -> list[Finding]:
        """Findings about the run: measurement caveats first, then by severity.

        Delays of the load generator that cannot change the verdict on any objective are only
        information.
        """
        found = self.summary.findings(self.client, hop=self.hop, asked=requested_load(self.about))
        if not self.slos or any(slo.is_doubtful for slo in self.slos):
            return found
        return [
            replace(one, severity=Severity.INFO) if one.code in _OF_CLIENT else one for one in found
        ]

    @property
    def is_client_late(self) -> bool:
        """Return whether delays of the load generator may have changed a verdict or a metric."""
        return any(
            finding.code in _OF_CLIENT and finding.severity is not Severity.INFO
            for finding in self.findings
        )

    @property
    def local_limit(self) -> str | None:
        """Limit of this machine that made requests fail, or ``None``."""
        if not self.summary.failure_kinds[Outcome.ERROR, LOCAL_LIMIT]:
            return None
        return self.summary.failure_messages[LOCAL_LIMIT][1]

    @property
    def meets_slos(self) -> bool:
        """Return whether all objectives are met, and few enough requests failed."""
        return meets_all(self.slos, self.summary)

    @property
    def caveats(self) -> list[Finding]:
        """Findings that limit the validity of the metrics."""
        return caveats_in(self.findings, self.summary.failed_share)

    def outcome(self, *, is_failing: bool) -> StepOutcome:
        """Return the outcome from which a search chooses the next load.

        Args:
            is_failing: whether the run was ended early because too many requests failed.
        """
        flow = LoadFlow(self.summary, requested_load(self.about))
        met = self.meets_slos and self.has_streams and flow.is_stable and not is_failing
        doubtful = self.is_client_late and any(slo.is_doubtful for slo in self.slos)
        doubtful = doubtful or (not met and self.local_limit is not None)
        served = flow.steady.requests_per_second if flow.steady else flow.served_while_offered
        return StepOutcome(met=met, doubtful=doubtful, served=served)

    @property
    def short_text(self) -> str:
        """One-line summary: load, "met" or "missed" (if there are objectives), and TTFT p99."""
        verdict = (" met" if self.meets_slos else " missed") if self.slos else ""
        ttft = self.summary.times("ttft")
        p99 = f", TTFT p99 {ttft.quantile(0.99) / 1e6:.0f} ms" if ttft.count else ""
        return f"{self.step.label}{verdict}{p99}"

    @property
    def has_streams(self) -> bool:
        """Return whether any content was received."""
        return self.summary.events > 0

    @property
    def exit_code(self) -> int:
        """Exit code of this run, regardless of other runs."""
        if not self.has_streams and not self.run_result.losses:
            return EXIT_COULD_NOT_RUN
        objectives = {slo.slo.name for slo in self.slos}
        faults = [
            finding
            for finding in self.findings
            if finding.severity is not Severity.INFO
            and not objectives.intersection(_COVERED_BY.get(finding.code, ()))
        ]
        if faults or self.run_result.losses or not self.meets_slos:
            return EXIT_FINDINGS
        return EXIT_CLEAN

    def json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        about = {name: value for name, value in self.about.items() if name != "command"}
        result = self.summary.to_json(
            self.client, hop=self.hop, about=about, findings=self.findings
        )
        result["server"] = None if self.server is None else self.server.to_json(self.summary)
        result |= {"sessions": None, "targets": []}
        if self.breakdown is not None:
            result |= self.breakdown.to_json()
        result["warmup_asked"] = self.step.load.warmup
        if self.good_percent is not None:
            result["goodput_percent"] = round(self.good_percent, 3)
        finals = self.run_result.finals
        result["client"]["cpu_percent_by_worker"] = list(self.run_result.cpu_percent)
        result["client"]["connections"] = sum(final.connections for final in finals)
        result["client"]["resent"] = sum(final.resent for final in finals)
        result["http2"] = None
        if self.setup.template.http2 is not None:
            limits = (final.stream_limit for final in finals if final.stream_limit)
            result["http2"] = {
                "stream_limit": min(limits, default=None),
                "refused_streams": sum(final.refused_streams for final in finals),
                "goaways": sum(final.goaways for final in finals),
            }
        result["slo"] = [dict(slo_json(slo)) for slo in self.slos]
        result["interrupted"] = self.run_result.interrupted
        result["planned"] = self.run_result.planned
        result["missing_percent"] = round(100 * self.run_result.missing, 3)
        result["nodes"] = [
            {
                "node": node.node,
                "host": node.host,
                "clock_offset_ms": round(node.offset_ns / 1e6, 3),
                "clock_doubt_ms": round(node.doubt_ns / 1e6, 3),
            }
            for node in self.run_result.nodes
        ]
        result["lost_workers"] = [
            {
                "worker": loss.worker,
                "why": self.setup.clean(loss.why),
                "measured": loss.measured,
                "missing_percent": round(100 * loss.missing, 3),
                "at_s": round(loss.at_s, 3),
            }
            for loss in self.run_result.losses
        ]
        return result


def make_result(
    step: Step, setup: BenchSetup, run_result: RunResult, stats: LiveStats, slos: Sequence[Slo]
) -> BenchResult:
    """Return the result of a finished run."""
    client = LoadGeneratorStats(
        workers=len(run_result.cpu_percent),
        cpu_percent=max(run_result.cpu_percent, default=None),
        waited_percent=run_result.waited_percent,
        step_ns=max((final.step_ns for final in run_result.finals), key=abs, default=0),
    )
    about = setup.about(load_about(step.load, client.workers))
    slo_results = tuple(
        slo_result(slo, stats.summary, stats.goodput, requested_load(about)) for slo in slos
    )
    percent = stats.goodput.percent
    return BenchResult(
        step=step,
        setup=setup,
        run_result=run_result,
        summary=stats.summary,
        slos=slo_results,
        client=client,
        hop="target",
        good_percent=percent,
        about=about,
    )
