"""A worker of a load test, as a process: ``python -m undam.loadtest``."""

from __future__ import annotations

import contextlib
import signal
import sys

from undam.loadtest.worker.worker import serve


def main() -> int:
    """Run one job over standard input and output; return the exit code."""
    # Ctrl-C reaches the whole process group, but only the coordinator decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        return serve(0, 1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
