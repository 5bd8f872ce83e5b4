"""Progress of a benchmark on standard error: one line after each round."""

from __future__ import annotations

import sys
import time


class Progress:
    """Printer of each round's result, with the number of rounds and the estimated time left.

    Args:
        rounds: expected number of rounds. Repeated rounds can exceed it.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._done = 0
        self._start_s = time.monotonic()

    def finish_round(self, text: str) -> None:
        """Print one line about the round that has just ended."""
        self._done += 1
        elapsed_s = time.monotonic() - self._start_s
        rounds_left = max(0, self._rounds - self._done)
        left_s = elapsed_s / self._done * rounds_left
        print(
            f"  round {self._done} of {max(self._done, self._rounds)}, {_duration(elapsed_s)} "
            f"elapsed, about {_duration(left_s)} left: {text}",
            file=sys.stderr,
            flush=True,
        )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
