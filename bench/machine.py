"""What the machine gave to others while something was measured (man 5 proc_stat, proc_pid)."""

from __future__ import annotations

import os
from pathlib import Path

SPOILED_S = 0.02
"""More than two of the ticks by which the kernel counts what was stolen, and what was measured
meanwhile is measured again."""


def stolen_s(core: int | None = None) -> float:
    """Seconds for which the hypervisor gave this core, or any of ours, to somebody else so far.

    The kernel tells it by hundredths: less shows when it has added up to one.
    """
    wanted = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == wanted:
            return int(ticks[7]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def on_cpu_and_waiting_s(pid: int) -> tuple[float, float]:
    """Seconds the process ran, and was ready but did not run (Documentation/scheduler)."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9
