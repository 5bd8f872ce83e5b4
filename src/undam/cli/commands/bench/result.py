"""Result of one run: metrics, objectives and lost workers, as JSON and as an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from undam.cli.commands.bench.arguments import Step
from undam.cli.commands.bench.live_stats import LiveStats
from undam.cli.commands.bench.setup import BenchSetup, load_about
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.loadtest.coordinator.run import RunResult
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import COUNTS, TIMES, Slo, SloResult, quantile_of, slo_json
from undam.metrics import LoadGeneratorStats, Summary
from undam.record import Outcome
from undam.rules import Finding, Severity

# Findings that do not affect the exit code if an objective covers the same failures.
_COVERED_BY = {"UD610": ("errors", "goodput"), "UD609": ("incomplete", "goodput")}


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Result of one run."""

    step: Step
    setup: BenchSetup
    run_result: RunResult
    summary: Summary
    slos: tuple[SloResult, ...]
    client: LoadGeneratorStats
    hop: str
    good_percent: float | None

    @property
    def findings(self) -> list[Finding]:
        """Findings about the run, most severe caveat first."""
        return self.summary.findings(self.client, hop=self.hop)

    @property
    def is_client_late(self) -> bool:
        """Return whether the load generator was too slow for reliable results."""
        return any(
            finding.code.startswith("UD90") and finding.severity is not Severity.INFO
            for finding in self.findings
        )

    @property
    def meets_slos(self) -> bool:
        """Return whether all objectives are met."""
        return all(slo.is_met for slo in self.slos)

    @property
    def has_streams(self) -> bool:
        """Return whether any content was received."""
        return self.summary.events > 0

    @property
    def exit_code(self) -> int:
        """Exit code of this run alone."""
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
        about = self.setup.about(load_about(self.step.load, self.client.workers))
        del about["command"]
        result = self.summary.to_json(self.client, hop=self.hop, about=about)
        result["warmup_asked"] = self.step.load.warmup
        if self.good_percent is not None:
            result["goodput_percent"] = round(self.good_percent, 3)
        finals = self.run_result.finals
        result["client"]["cpu_percent_by_worker"] = list(self.run_result.cpu_percent)
        result["client"]["connections"] = sum(final.connections for final in finals)
        result["client"]["resent"] = sum(final.resent for final in finals)
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
    slo_results = tuple(
        SloResult(slo, measured_value(slo, stats.summary, stats.goodput)) for slo in slos
    )
    percent = stats.goodput.percent
    return BenchResult(
        step, setup, run_result, stats.summary, slo_results, client, "target", percent
    )


def measured_value(slo: Slo, summary: Summary, goodput: Goodput) -> float | None:
    """Return the measured value of an objective in its unit, or ``None`` if there is none."""
    if slo.name in TIMES:
        times = summary.times(slo.name)
        if not times.count or times.min is None or times.max is None:
            return None
        q = quantile_of(slo.stat)
        if q is not None:
            return times.quantile(q) / 1e6
        return {"min": times.min, "max": times.max}.get(slo.stat, times.mean()) / 1e6
    if slo.name in COUNTS:
        outcome = Outcome.ERROR if slo.name == "errors" else Outcome.INCOMPLETE
        count = summary.outcomes[outcome]
        if slo.unit == "%":
            return 100 * count / summary.requests if summary.requests else None
        return float(count)
    if slo.name == "goodput":
        return goodput.percent
    return float(summary.to_json()[slo.name])
