"""Statistics about the load generator itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGeneratorStats:
    """Statistics about the load generator that request results do not contain.

    Args:
        workers: number of worker processes.
        cpu_percent: CPU use of the busiest worker, in percent of one CPU; ``None`` if unknown.
        waited_percent: share of its runnable time in which the most starved worker was not
            scheduled (``run_delay / (run_delay + run)`` of the scheduler statistics); ``None`` if
            unknown.
        step_ns: largest change of CLOCK_REALTIME during the run.
    """

    workers: int = 1
    cpu_percent: float | None = None
    waited_percent: float | None = None
    step_ns: int = 0
