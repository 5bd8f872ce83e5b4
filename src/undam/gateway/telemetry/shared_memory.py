"""Counters of several worker processes in shared memory.

A scrape of any worker returns the exact sums of all of them, and the counts of a crashed worker
are kept.

The parent creates a ``SharedMetrics`` before it forks. To share it with a program that it executes,
it passes ``shared_metrics.fd`` in ``pass_fds``, and the child opens ``SharedMetrics(fd, workers)``.
Worker i, or the process that replaces it, writes to ``shared_metrics.region(i)`` only, and
``shared_metrics.snapshot()`` reads all regions::

    shared_metrics = SharedMetrics.make(workers)         # in the parent, before fork
    metrics = WorkerMetrics(shared_metrics.region(i))    # in worker i
    await scrape(shared_metrics.snapshot())              # in any worker, for GET /-/metrics

The kernel allocates pages as series are added; the region of a worker is at most 2 MB.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator

Snapshot = dict[str, list[int]]
"""Integers of each series, by its key (see ``metrics.key_of``)."""

_REGION_BYTES = 2 << 20
_REGION = _REGION_BYTES // 8
# Slot 0 of a region contains the used length. A record consists of five parts: its generation (odd
# during a change), its number of integers, the length of its key in bytes (0 if the record is
# free), the key, and the integers.
_HEAD = 3
_KEY_SLOTS = 64
KEY_BYTES = _KEY_SLOTS * 8
_FIRST = 1
_TRIES = 100


class SharedMetrics:
    """Shared memory with a region for each worker.

    Args:
        fd: file descriptor of the memory that ``make`` created.
    """

    def __init__(self, fd: int, workers: int) -> None:
        self.fd = fd
        self.workers = workers
        self._map = mmap.mmap(fd, workers * _REGION_BYTES)
        self._slots = memoryview(self._map).cast("q")

    @classmethod
    def make(cls, workers: int = 1) -> SharedMetrics:
        """Allocate one region per worker in anonymous memory."""
        fd = _anonymous_file()
        os.ftruncate(fd, workers * _REGION_BYTES)
        metrics = cls(fd, workers)
        for worker in range(workers):
            metrics._slots[worker * _REGION] = _FIRST
        return metrics

    def region(self, worker: int) -> Region:
        """Return the region of one worker, including the series of its earlier processes."""
        return Region(self._of(worker))

    def snapshot(self) -> Snapshot:
        """Return the series, summed over all workers."""
        return merge(_snapshot(self._of(worker)) for worker in range(self.workers))

    def _of(self, worker: int) -> memoryview[int]:
        return self._slots[worker * _REGION : (worker + 1) * _REGION]

    def close(self) -> None:
        """Release the memory. No region may be in use."""
        self._slots.release()
        self._map.close()
        os.close(self.fd)


def _anonymous_file() -> int:
    """Return a descriptor for anonymous memory, or for a deleted file on systems without memfd."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("undam-gateway-metrics", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Region:
    """Series of one worker. Only this worker may write to them."""

    def __init__(self, slots: memoryview[int]) -> None:
        self._slots = slots
        self._free: dict[int, list[int]] = {}
        self._at: dict[str, int] = {}
        for at in _records(slots):
            if slots[at] & 1:  # The previous process died while it was changing this record.
                slots[at + 2] = 0
                slots[at] += 1
            found = _read(slots, at)
            if found is None:
                self._free.setdefault(slots[at + 1], []).append(at)
            else:
                self._at[found[0]] = at

    def numbers(self, key: str, count: int) -> memoryview[int] | None:
        """Return the integers of a series, to be changed in place; ``None`` if the region is full.

        Args:
            key: at most KEY_BYTES of UTF-8.
            count: number of integers; the same for each call with this key.
        """
        at = self._at.get(key)
        if at is None:
            data = key.encode()
            if len(data) > KEY_BYTES or (at := self._take(count)) is None:
                return None
            self._begin(at, data, count)
            self._at[key] = at
        start = at + _HEAD + _KEY_SLOTS
        return self._slots[start : start + count]

    def drop(self, key: str) -> None:
        """Remove a series. Its integers must no longer be in use."""
        at = self._at.pop(key, None)
        if at is not None:
            slots = self._slots
            slots[at] += 1
            slots[at + 2] = 0
            slots[at] += 1
            self._free.setdefault(slots[at + 1], []).append(at)

    def keys(self) -> list[str]:
        """Return the keys of all series."""
        return list(self._at)

    def _take(self, count: int) -> int | None:
        free = self._free.get(count)
        if free:
            return free.pop()
        slots = self._slots
        at = slots[0]
        end = at + _HEAD + _KEY_SLOTS + count
        if end > len(slots):
            return None
        # The size is written before the used length, so that a concurrent reader finds an empty
        # record.
        slots[at + 1] = count
        slots[0] = end
        return at

    def _begin(self, at: int, key: bytes, count: int) -> None:
        slots = self._slots
        slots[at] += 1
        start = at + _HEAD
        for number, word in enumerate(memoryview(key.ljust(KEY_BYTES, b"\0")).cast("q")):
            slots[start + number] = word
        for number in range(count):
            slots[start + _KEY_SLOTS + number] = 0
        slots[at + 2] = len(key)
        slots[at] += 1


def _records(slots: memoryview[int]) -> Iterator[int]:
    at, end = _FIRST, slots[0]
    while at < end:
        yield at
        at += _HEAD + _KEY_SLOTS + slots[at + 1]


def _read(slots: memoryview[int], at: int) -> tuple[str, list[int]] | None:
    """Return the series that a record contains.

    Return ``None`` if the record is free, or if its worker died while it changed the record.
    """
    start = at + _HEAD
    for _ in range(_TRIES):
        generation, count, length = slots[at : at + _HEAD]
        key = slots[start : start + _KEY_SLOTS].tobytes()
        numbers = slots[start + _KEY_SLOTS : start + _KEY_SLOTS + count].tolist()
        if slots[at] == generation and not generation & 1:
            return (key[:length].decode(), numbers) if length else None
    return None


def _snapshot(slots: memoryview[int]) -> Snapshot:
    found = (_read(slots, at) for at in _records(slots))
    return dict(one for one in found if one is not None)


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sum of several snapshots, series by series."""
    total: Snapshot = {}
    for snapshot in snapshots:
        for key, numbers in snapshot.items():
            known = total.get(key)
            total[key] = (
                list(numbers)
                if known is None
                else [one + other for one, other in zip(known, numbers, strict=True)]
            )
    return total
