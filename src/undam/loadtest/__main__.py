"""A worker of a load test, as a process: ``python -m undam.loadtest``."""

from __future__ import annotations

import contextlib
import signal
import sys

from undam.loadtest.worker.worker import serve


def main() -> int:
    """Work on standard input and output; returns the exit code."""
    # Ctrl-C goes to the whole group; whoever started this process says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        return serve(0, 1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
