"""The workers of `undam bench`: the first crew starts before all else, a later one when needed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from undam.loadtest.coordinator.worker_pool import Crew, Processes


class Crews:
    """Gives one crew a run, and ends it after that.

    Args:
        size: workers of each.
        ray: address of a cluster, or ``None`` for this machine.
    """

    def __init__(self, size: int, ray: object) -> None:
        self.size = size
        self.ray = None if ray is None else str(ray)
        self._waiting: Crew | None = None
        self._current: Crew | None = None

    def __enter__(self) -> Self:
        if self.ray is None:
            self._waiting = Processes(self.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for crew in (self._waiting, self._current):
            if crew is not None:
                crew.close()
        self._waiting = self._current = None

    def next(self) -> Crew:
        """A crew that has done nothing yet; the last one is ended."""
        if self._current is not None:
            self._current.close()
            self._current = None
        self._current, self._waiting = self._waiting or self._new(), None
        return self._current

    def _new(self) -> Crew:
        if self.ray is None:
            return Processes(self.size)
        from undam.loadtest.coordinator.cluster import RayCrew  # noqa: PLC0415 (Ray is an extra)

        return RayCrew(self.ray, self.size)
