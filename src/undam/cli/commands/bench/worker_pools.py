"""Worker pools of `undam bench`, one for each run. The first pool starts before all other work."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from undam.loadtest.coordinator.worker_pool import LocalWorkerPool, WorkerPool


class WorkerPools:
    """Factory that creates a worker pool for each run and closes it afterwards.

    Args:
        size: number of workers in each pool.
        ray: address of a Ray cluster; ``None`` for this machine.
    """

    def __init__(self, size: int, ray: str | None) -> None:
        self.size = size
        self.ray = ray
        self._started: WorkerPool | None = None
        self._current: WorkerPool | None = None

    def __enter__(self) -> Self:
        if self.ray is None:
            self._started = LocalWorkerPool(self.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in (self._started, self._current):
            if pool is not None:
                pool.close()
        self._started = self._current = None

    def next(self) -> WorkerPool:
        """Close the current pool and return an unused one."""
        if self._current is not None:
            self._current.close()
            self._current = None
        self._current, self._started = self._started or self._create(), None
        return self._current

    def _create(self) -> WorkerPool:
        if self.ray is None:
            return LocalWorkerPool(self.size)
        # Ray is an optional dependency.
        from undam.loadtest.coordinator.cluster import RayWorkerPool  # noqa: PLC0415

        return RayWorkerPool(self.ray, self.size)
