"""CPU time used by other processes and by other virtual machines (man 5 proc_stat, proc_pid)."""

from __future__ import annotations

import os
from pathlib import Path

MAX_STEAL_S = 0.02
"""Measurements with more CPU steal than this, two ticks of the kernel's counter, are repeated."""


def steal_s(core: int | None = None) -> float:
    """Return the CPU steal of one core, or of all cores, in seconds since boot.

    The kernel counts in units of 10 ms, so a smaller amount is not visible yet.
    """
    wanted = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == wanted:
            return int(ticks[7]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def run_and_wait_s(pid: int) -> tuple[float, float]:
    """Return how long a process ran, and how long it was runnable but not scheduled."""
    run_ns, wait_ns, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(run_ns) / 1e9, int(wait_ns) / 1e9
