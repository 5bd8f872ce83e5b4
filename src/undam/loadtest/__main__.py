"""Entry point of a load-test worker process: ``python -m undam.loadtest``."""

from __future__ import annotations

import contextlib
import signal
import sys

from undam.loadtest.worker.worker import serve


def main() -> int:
    """Read a job from standard input, report on standard output, and return the exit code."""
    # Ignore SIGINT. Ctrl-C reaches the whole process group, but only the coordinator decides when
    # to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        return serve(0, 1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
