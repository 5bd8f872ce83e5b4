"""The workers of `undam bench`: the first crew starts before all else, a later one when needed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from undam.loadtest.coordinator.worker_pool import LocalWorkerPool, WorkerPool


class WorkerPools:
    """Gives one crew a run, and ends it after that.

    Args:
        size: workers of each.
        ray: address of a cluster, or ``None`` for this machine.
    """

    def __init__(self, size: int, ray: object) -> None:
        self.size = size
        self.ray = None if ray is None else str(ray)
        self._waiting: WorkerPool | None = None
        self._current: WorkerPool | None = None

    def __enter__(self) -> Self:
        if self.ray is None:
            self._waiting = LocalWorkerPool(self.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in (self._waiting, self._current):
            if pool is not None:
                pool.close()
        self._waiting = self._current = None

    def next(self) -> WorkerPool:
        """A crew that has done nothing yet; the last one is ended."""
        if self._current is not None:
            self._current.close()
            self._current = None
        self._current, self._waiting = self._waiting or self._new(), None
        return self._current

    def _new(self) -> WorkerPool:
        if self.ray is None:
            return LocalWorkerPool(self.size)
        from undam.loadtest.coordinator.cluster import RayWorkerPool  # noqa: PLC0415 (Ray is an extra)

        return RayWorkerPool(self.ray, self.size)
