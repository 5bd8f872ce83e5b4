"""Coordinator side of the load-test workers: sends jobs and receives results, as frames.

A worker exits when its standard input closes. The kernel closes that pipe even if the coordinator
is killed, so no worker outlives its coordinator.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from undam.loadtest.protocol import Failure, FinalReport, Frame, FrameReader

COMMAND = (sys.executable, "-P", "-m", "undam.loadtest")
"""Command of a worker process, which reads and writes frames on its standard streams."""

_READ_BYTES = 1 << 20
# The reason for an exit is in the last lines of standard error, so only the tail is kept.
_KEPT_ERROR_BYTES = 4096
_EXIT_TIMEOUT_S = 2.0
# Only Linux has this policy.
_BATCH_POLICY: int | None = getattr(os, "SCHED_BATCH", None)


class WorkerLost(NamedTuple):
    """A worker that ended without a ``FinalReport`` or ``Failure``."""

    worker: int
    why: str


WorkerEvent = Frame | WorkerLost


class WorkerNode(NamedTuple):
    """Location and clock of a worker.

    Attributes:
        node: the cluster's name of the node.
        host: name from ``undam.host``; workers with the same name share a clock.
        offset_ns: how far the node's clock is ahead of the clock of this process.
        doubt_ns: maximum error of ``offset_ns``.
    """

    node: str
    host: str
    offset_ns: int
    doubt_ns: int


class SchedStat(NamedTuple):
    """Scheduler statistics of a process (/proc/PID/schedstat).

    Attributes:
        run_ns: time on a CPU.
        wait_ns: time runnable but not scheduled.
        timeslices: number of times it was scheduled.
    """

    run_ns: int
    wait_ns: int
    timeslices: int


class WorkerPool(Protocol):
    """A fixed number of workers, numbered from 0."""

    @property
    def size(self) -> int:
        """Number of workers at the start."""

    @property
    def start_lead_ns(self) -> int:
        """Minimum time between sending a ``Start`` and the common start."""

    def offset_ns(self, worker: int) -> int:
        """Return the offset of the worker's clock from this process's clock; positive if ahead."""

    def send(self, worker: int, data: bytes) -> None:
        """Send an encoded frame; a no-op if the worker is gone."""

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        """Return the events that arrive within ``timeout_s``.

        The last event of each worker is a ``FinalReport``, a ``Failure`` or a ``WorkerLost``.
        """

    def sched_stat(self, worker: int) -> SchedStat | None:
        """Return the latest scheduler statistics, or ``None`` if the system has none."""

    @property
    def nodes(self) -> tuple[WorkerNode, ...]:
        """Location and clock of each worker; empty if all run on this machine."""

    def kill(self, worker: int) -> None:
        """Kill a worker; ``receive`` then reports it as lost."""

    def close(self) -> None:
        """End all workers and wait until none is running."""


@dataclass(slots=True)
class _WorkerProcess:
    process: subprocess.Popen[bytes]
    frames: FrameReader
    error: bytearray
    has_reported: bool = False

    def pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self.process, name)
        assert pipe is not None
        return pipe  # type: ignore[no-any-return]


class LocalWorkerPool:
    """Worker processes on this machine.

    The constructor only starts them and does not wait, so that they load their modules while the
    caller loads its own. Each runs in a session of its own, because Ctrl-C is handled by the
    coordinator.
    """

    start_lead_ns = 3_000_000
    nodes: tuple[WorkerNode, ...] = ()

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers: list[_WorkerProcess] = []
        self._policy: int | None = None
        self._selector = selectors.DefaultSelector()
        try:
            for worker in range(size):
                self._start(worker)
        except BaseException:
            self.close()
            raise
        # The workers keep the usual policy. A batch process that wakes up to read their results
        # does not preempt them (sched(7)).
        self._policy = _set_scheduling_policy(_BATCH_POLICY)

    def _start(self, number: int) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        worker = _WorkerProcess(process, FrameReader(), bytearray())
        self._workers.append(worker)
        for name in ("stdout", "stderr"):
            self._selector.register(worker.pipe(name), selectors.EVENT_READ, (number, name))

    def pid(self, worker: int) -> int:
        """Return the process ID of a worker."""
        return self._workers[worker].process.pid

    def offset_ns(self, worker: int) -> int:
        return 0

    def send(self, worker: int, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            view = memoryview(data)
            pipe = self._workers[worker].pipe("stdin")
            while view:
                view = view[pipe.write(view) :]

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        events: list[WorkerEvent] = []
        for key, _ in self._selector.select(timeout_s):
            number, name = key.data
            data = os.read(key.fd, _READ_BYTES)
            worker = self._workers[number]
            if name == "stderr":
                worker.error += data
                del worker.error[:-_KEPT_ERROR_BYTES]
            else:
                frames = worker.frames.receive_data(data)
                events += frames
                worker.has_reported |= any(
                    isinstance(frame, FinalReport | Failure) for frame in frames
                )
            if not data:
                self._selector.unregister(key.fileobj)
                if name == "stdout" and not worker.has_reported:
                    events.append(WorkerLost(number, self._exit_reason(worker)))
        return events

    def _exit_reason(self, worker: _WorkerProcess) -> str:
        """Return the signal that ended the process, or its exit code and last line of output."""
        try:
            code = worker.process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        with contextlib.suppress(ValueError):
            os.set_blocking(worker.pipe("stderr").fileno(), False)
            worker.error += worker.pipe("stderr").read(_READ_BYTES) or b""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        lines = bytes(worker.error).decode("utf-8", "replace").strip().splitlines()
        return f"exit code {code}" + (f": {lines[-1].strip()[:200]}" if lines else "")

    def sched_stat(self, worker: int) -> SchedStat | None:
        try:
            text = Path(f"/proc/{self.pid(worker)}/schedstat").read_text("ascii")
            return SchedStat(*map(int, text.split()))
        except (OSError, ValueError, TypeError):
            return None

    def kill(self, worker: int) -> None:
        self._workers[worker].process.kill()

    def close(self) -> None:
        give_up = time.monotonic() + _EXIT_TIMEOUT_S
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe("stdin").close()
        for worker in self._workers:
            # A worker that has sent its last frame exits by itself. Others are killed at once.
            with contextlib.suppress(subprocess.TimeoutExpired):
                if worker.has_reported:
                    worker.process.wait(max(0.0, give_up - time.monotonic()))
            worker.process.kill()
            worker.process.wait()
            worker.pipe("stdout").close()
            worker.pipe("stderr").close()
        self._selector.close()
        _set_scheduling_policy(self._policy)


def _set_scheduling_policy(policy: int | None) -> int | None:
    """Set the scheduling policy of this process, and return the previous one.

    Returns:
        ``None`` if the policy was not changed, because it is ``None`` or the system refuses it.
    """
    if policy is not None:
        # Some systems have the policy, but not the functions.
        with contextlib.suppress(OSError, AttributeError):
            previous = os.sched_getscheduler(0)
            os.sched_setscheduler(0, policy, os.sched_param(0))
            return previous
    return None
