"""How the load generator itself was doing, as far as the measured requests don't tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGeneratorStats:
    """The measuring side.

    Args:
        workers: processes that sent the load.
        cpu_percent: of one processor, of the busiest worker; ``None`` is not known.
        waited_percent: of the time in which the worker that fared worst wanted a processor, how
            much it had none (``run_delay / (run_delay + run)`` of the system's account).
        step_ns: how far CLOCK_REALTIME was set during the run, at the worst.
    """

    workers: int = 1
    cpu_percent: float | None = None
    waited_percent: float | None = None
    step_ns: int = 0
