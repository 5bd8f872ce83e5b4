"""One run's outcome: its figures, objectives and losses, as JSON and as an exit code."""

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

# Failures that an objective of the user's own judges.
_JUDGED_BY = {"UD610": ("errors", "goodput"), "UD609": ("incomplete", "goodput")}


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What one run gave."""

    step: Step
    setup: BenchSetup
    run_result: RunResult
    summary: Summary
    kept: tuple[SloResult, ...]
    client: LoadGeneratorStats
    hop: str
    good_percent: float | None

    @property
    def findings(self) -> list[Finding]:
        """Of the figures, worst doubt first."""
        return self.summary.findings(self.client, hop=self.hop)

    @property
    def is_client_late(self) -> bool:
        """Whether the figures are in doubt because of this client."""
        return any(
            one.code.startswith("UD90") and one.severity is not Severity.INFO
            for one in self.findings
        )

    @property
    def meets_slos(self) -> bool:
        """Whether each objective is met."""
        return all(one.is_met for one in self.kept)

    @property
    def has_streams(self) -> bool:
        """Whether there was anything to measure."""
        return self.summary.events > 0

    @property
    def code(self) -> int:
        """The exit code of this run alone."""
        if not self.has_streams and not self.run_result.losses:
            return EXIT_COULD_NOT_RUN
        asked = {one.slo.name for one in self.kept}
        faults = [
            one
            for one in self.findings
            if one.severity is not Severity.INFO
            and not asked.intersection(_JUDGED_BY.get(one.code, ()))
        ]
        if faults or self.run_result.losses or not self.meets_slos:
            return EXIT_FINDINGS
        return EXIT_CLEAN

    def json(self) -> dict[str, Any]:
        """As other programs read it."""
        about = self.setup.about(load_about(self.step.load, self.client.workers))
        del about["command"]
        result = self.summary.to_json(self.client, hop=self.hop, about=about)
        result["warmup_asked"] = self.step.load.warmup
        if self.good_percent is not None:
            result["goodput_percent"] = round(self.good_percent, 3)
        result["client"]["cpu_percent_by_worker"] = list(self.run_result.cpu_percent)
        result["client"]["connections"] = sum(one.connections for one in self.run_result.finals)
        result["client"]["resent"] = sum(one.resent for one in self.run_result.finals)
        result["slo"] = [dict(slo_json(one)) for one in self.kept]
        result["interrupted"] = self.run_result.interrupted
        result["planned"] = self.run_result.planned
        result["missing_percent"] = round(100 * self.run_result.missing, 3)
        result["nodes"] = [
            {
                "node": one.node,
                "host": one.host,
                "clock_offset_ms": round(one.offset_ns / 1e6, 3),
                "clock_doubt_ms": round(one.doubt_ns / 1e6, 3),
            }
            for one in self.run_result.nodes
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


def result_of(
    step: Step, setup: BenchSetup, run_result: RunResult, stats: LiveStats, slos: Sequence[Slo]
) -> BenchResult:
    """Judge a run."""
    client = LoadGeneratorStats(
        workers=len(run_result.cpu_percent),
        cpu_percent=max(run_result.cpu_percent, default=None),
        waited_percent=run_result.waited_percent,
        step_ns=max((one.step_ns for one in run_result.finals), key=abs, default=0),
    )
    kept = tuple(SloResult(slo, measured_for(slo, stats.summary, stats.goodput)) for slo in slos)
    percent = stats.goodput.percent
    return BenchResult(step, setup, run_result, stats.summary, kept, client, "target", percent)


def measured_for(slo: Slo, summary: Summary, goodput: Goodput) -> float | None:
    """The figure that an objective is about, in its unit; ``None`` where there is none."""
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
        n = summary.outcomes[outcome]
        if slo.unit == "%":
            return 100 * n / summary.requests if summary.requests else None
        return float(n)
    if slo.name == "goodput":
        return goodput.percent
    return float(summary.to_json()[slo.name])
