"""Time and work allowed for one hop of a check, including reading and analysis."""

from __future__ import annotations

import time
from dataclasses import replace

from undam.probe.options import CheckOptions, Place, client_for
from undam.wire import ClientConfig
from undam.work_budget import WorkBudget, body_bytes_of, items_of

# CPU time for the analysis if reading used up the time limit, as happens with an endless stream.
# CPU time is used because a busy machine must not cut short the analysis of a normal stream.
_ANALYSIS_S = 0.5
_LEAST_TIMEOUT_S = 0.1


class HopBudget:
    """Budget for one hop. The time starts when the budget is created.

    The sizes are shared by all streams of the check, and the time by everything that is done for
    this hop.
    """

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._started_s = time.monotonic()

    def client_for(self, place: Place) -> ClientConfig:
        """Return the connection options for ``place``, limited to the remaining time."""
        options = self._options
        parts = len(options.places) * options.streams
        return replace(
            client_for(options, place),
            spent_s=min(self._spent_s(), options.client.timeout_s - _LEAST_TIMEOUT_S),
            max_body_bytes=min(options.client.max_body_bytes, body_bytes_of(parts)),
            max_reads=min(options.client.max_reads, items_of(parts)),
        )

    @property
    def allows_repetition(self) -> bool:
        """Return whether there is enough time to repeat everything for this hop."""
        return self._spent_s() < self._options.client.timeout_s / 3

    def for_analysis(self) -> WorkBudget:
        """Return the work budget for the analysis of this hop's streams."""
        begun_s = time.process_time()

        def is_over() -> bool:
            if self._spent_s() < self._options.client.timeout_s:
                return False
            return time.process_time() - begun_s > _ANALYSIS_S

        return WorkBudget(items_of(len(self._options.places)), is_over)

    def _spent_s(self) -> float:
        return time.monotonic() - self._started_s
