"""Counters of several worker processes in one piece of shared memory, so that a scrape of any
worker tells of all, exactly and at once, and what a worker that died had counted is not lost.

The parent creates a ``SharedMetrics`` before it forks. To share it with a program that it executes,
it passes ``shared_metrics.fd`` in ``pass_fds``, and the child opens ``SharedMetrics(fd, workers)``.
Worker i, or the process that replaces it, writes to ``shared_metrics.region(i)`` only, and
``shared_metrics.snapshot()`` reads all regions::

    shared_metrics = SharedMetrics.make(workers)           # the parent, before fork
    metrics = WorkerMetrics(shared_metrics.region(i))    # in worker i
    await scrape(shared_metrics.snapshot())        # in any of them, for GET /-/metrics

Memory is taken page by page as series appear: a worker's region is 2 MB at most.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator

Snapshot = dict[str, list[int]]
"""Series by their key (see ``metrics.key_of``), each with its integers."""

_REGION_BYTES = 2 << 20
_REGION = _REGION_BYTES // 8
# Slot 0 of a region is its used length. A record: its generation (odd while it is being changed),
# how many integers it has, the bytes of its key (0: it is free); the key; the integers.
_HEAD = 3
_KEY_SLOTS = 64
KEY_BYTES = _KEY_SLOTS * 8
_FIRST = 1
_TRIES = 100


class SharedMetrics:
    """Shared memory with a region for each worker.

    Args:
        fd: of memory that ``make`` created.
    """

    def __init__(self, fd: int, workers: int) -> None:
        self.fd = fd
        self.workers = workers
        self._map = mmap.mmap(fd, workers * _REGION_BYTES)
        self._slots = memoryview(self._map).cast("q")

    @classmethod
    def make(cls, workers: int = 1) -> SharedMetrics:
        """A new, empty one, in memory of its own that no file system shows."""
        fd = os.memfd_create("undam-gateway-metrics", os.MFD_CLOEXEC)
        os.ftruncate(fd, workers * _REGION_BYTES)
        shared_metrics = cls(fd, workers)
        for worker in range(workers):
            shared_metrics._slots[worker * _REGION] = _FIRST
        return shared_metrics

    def region(self, worker: int) -> Region:
        """The region of one worker, with the series that an earlier process of this number left."""
        return Region(self._of(worker))

    def snapshot(self) -> Snapshot:
        """The sum of all workers' series."""
        return merge(_snapshot(self._of(worker)) for worker in range(self.workers))

    def _of(self, worker: int) -> memoryview[int]:
        return self._slots[worker * _REGION : (worker + 1) * _REGION]

    def close(self) -> None:
        """Give the memory back; regions must no longer be in use."""
        self._slots.release()
        self._map.close()
        os.close(self.fd)


class Region:
    """The series of one worker, and only that worker's to write."""

    def __init__(self, slots: memoryview[int]) -> None:
        self._slots = slots
        self._free: dict[int, list[int]] = {}
        self._at: dict[str, int] = {}
        for at in _records(slots):
            if slots[at] & 1:  # the one before died while it changed this
                slots[at + 2] = 0
                slots[at] += 1
            found = _read(slots, at)
            if found is None:
                self._free.setdefault(slots[at + 1], []).append(at)
            else:
                self._at[found[0]] = at

    def numbers(self, key: str, count: int) -> memoryview[int] | None:
        """The integers of a series, to be written in place; ``None`` where there is no room left.

        Args:
            key: at most KEY_BYTES of UTF-8.
            count: how many integers it has; the same each time.
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
        """Forget a series; nobody may hold its integers any more."""
        at = self._at.pop(key, None)
        if at is not None:
            slots = self._slots
            slots[at] += 1
            slots[at + 2] = 0
            slots[at] += 1
            self._free.setdefault(slots[at + 1], []).append(at)

    def keys(self) -> list[str]:
        """The keys of its series."""
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
        # Its size first, then that it is there: who reads in between finds an empty record.
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
    """A series; ``None`` where the record is free, or its worker died while it changed it."""
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
    """The sum of several, series by series."""
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
