"""Helpers that run `undam` as a subprocess and measure its CPU time and peak memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from support.undam_command import TIMEOUT_S, command_line, environment

# Runs its arguments as a command, and prints the resources that the command and its subprocesses
# used. This small process starts the command because a process's peak memory includes its parent's.
_WRAPPER = """
import resource, subprocess, sys, time
begun = time.monotonic()
code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)
took = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("\\n@", code, used.ru_utime + used.ru_stime, took, used.ru_maxrss, file=sys.stderr)
"""


@dataclass(frozen=True)
class MeasuredCommand:
    """Exit code, output and resource use of a finished command.

    Args:
        cpu_s: CPU time of the command and its subprocesses.
        took_s: elapsed time.
        peak_mb: memory of the largest of its processes.
    """

    code: int
    out: str
    err: str
    cpu_s: float
    took_s: float
    peak_mb: float


def measure(*args: str) -> MeasuredCommand:
    """Run ``undam ARGS``."""
    done = subprocess.run(
        [sys.executable, "-c", _WRAPPER, *command_line(*args)],
        env=environment(), capture_output=True, timeout=2 * TIMEOUT_S, check=True,
    )  # fmt: skip
    err, _, usage = done.stderr.decode().rpartition("\n@ ")
    code, cpu_s, took_s, peak_kb = usage.split()
    return MeasuredCommand(
        int(code), done.stdout.decode(), err, float(cpu_s), float(took_s), int(peak_kb) / 1024
    )
