"""The workers of a load test as the coordinator sees them: told by frames, heard by frames.

However a coordinator ends, no worker outlives it: a worker ends when its standard input closes,
which the kernel does for a process that was killed.
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
"""A worker: reads a job from its standard input, writes frames to its standard output."""

_READ_BYTES = 1 << 20
# Of what a worker wrote to its standard error, only the end says why it stopped.
_KEPT_ERROR_BYTES = 4096
_END_S = 2.0


class WorkerLost(NamedTuple):
    """A worker that ended without a ``FinalReport`` or ``Failure``."""

    worker: int
    why: str


WorkerEvent = Frame | WorkerLost


class WorkerNode(NamedTuple):
    """Where a worker runs.

    Attributes:
        node: the cluster's name of it.
        host: as ``undam.host`` names it: the same name is the same clock.
        offset_ns: how far its clock is ahead of this process's, and ``doubt_ns`` by how much that
            may be wrong.
    """

    node: str
    host: str
    offset_ns: int
    doubt_ns: int


class SchedStat(NamedTuple):
    """The system's account of a process (/proc/PID/schedstat), ns: how long it ran, how long it
    was ready and had to wait for a processor, and how often it got one."""

    run_ns: int
    wait_ns: int
    timeslices: int


class WorkerPool(Protocol):
    """Some workers, numbered from 0."""

    @property
    def size(self) -> int:
        """How many they were at the beginning."""

    @property
    def start_lead_ns(self) -> int:
        """How long before the common start they must be told of it."""

    def offset_ns(self, worker: int) -> int:
        """How far that worker's clock is ahead of this process's."""

    def send(self, worker: int, data: bytes) -> None:
        """Send an encoded frame; a worker that is gone hears nothing."""

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        """What came, waiting at most so long; each worker's last word is a ``FinalReport``, a
        ``Failure`` or a ``WorkerLost``."""

    def sched_stat(self, worker: int) -> SchedStat | None:
        """What the system last said of it; ``None`` where it says nothing."""

    @property
    def nodes(self) -> tuple[WorkerNode, ...]:
        """Where each worker runs; nothing where all run here."""

    def kill(self, worker: int) -> None:
        """End a worker at once; it is then heard as lost."""

    def close(self) -> None:
        """End them all; afterwards none of them runs."""


@dataclass(slots=True)
class _WorkerProcess:
    """One worker process."""

    process: subprocess.Popen[bytes]
    frames: FrameReader
    error: bytearray
    reported_end: bool = False

    def pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self.process, name)
        assert pipe is not None
        return pipe  # type: ignore[no-any-return]


class LocalWorkerPool:
    """Workers on this machine. Starting them is all that the constructor does, so what they load
    and what the caller loads meanwhile go side by side.

    They have a session of their own: Ctrl-C is the coordinator's to hear.
    """

    start_lead_ns = 3_000_000
    nodes: tuple[WorkerNode, ...] = ()

    def __init__(self, size: int) -> None:
        self.size = size
        self._processes: list[_WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        try:
            for worker in range(size):
                self._start(worker)
        except BaseException:
            self.close()
            raise

    def _start(self, worker: int) -> None:
        pipe = subprocess.PIPE
        started = subprocess.Popen(
            COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        process = _WorkerProcess(started, FrameReader(), bytearray())
        self._processes.append(process)
        for name in ("stdout", "stderr"):
            self._selector.register(process.pipe(name), selectors.EVENT_READ, (worker, name))

    def pid(self, worker: int) -> int:
        """Of the worker's process."""
        return self._processes[worker].process.pid

    def offset_ns(self, worker: int) -> int:
        return 0

    def send(self, worker: int, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            view = memoryview(data)
            pipe = self._processes[worker].pipe("stdin")
            while view:
                view = view[pipe.write(view) :]

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        events: list[WorkerEvent] = []
        for key, _ in self._selector.select(timeout_s):
            worker, name = key.data
            data = os.read(key.fd, _READ_BYTES)
            process = self._processes[worker]
            if name == "stderr":
                process.error += data
                del process.error[:-_KEPT_ERROR_BYTES]
            else:
                frames = process.frames.receive_data(data)
                events += frames
                process.reported_end |= any(
                    isinstance(one, FinalReport | Failure) for one in frames
                )
            if not data:
                self._selector.unregister(key.fileobj)
                if name == "stdout" and not process.reported_end:
                    events.append(WorkerLost(worker, self._why(process)))
        return events

    def _why(self, process: _WorkerProcess) -> str:
        """Why it ended, in a few words: the signal, or the last line it wrote."""
        try:
            code = process.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        with contextlib.suppress(ValueError):
            os.set_blocking(process.pipe("stderr").fileno(), False)
            process.error += process.pipe("stderr").read(_READ_BYTES) or b""
        said = bytes(process.error).decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}" + (f": {said[-1].strip()[:200]}" if said else "")

    def sched_stat(self, worker: int) -> SchedStat | None:
        try:
            text = Path(f"/proc/{self.pid(worker)}/schedstat").read_text("ascii")
            return SchedStat(*map(int, text.split()))
        except (OSError, ValueError, TypeError):
            return None

    def kill(self, worker: int) -> None:
        self._processes[worker].process.kill()

    def close(self) -> None:
        give_up = time.monotonic() + _END_S
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.pipe("stdin").close()
        for process in self._processes:
            # One that has told its last is about to end by itself; any other has no use any more.
            with contextlib.suppress(subprocess.TimeoutExpired):
                if process.reported_end:
                    process.process.wait(max(0.0, give_up - time.monotonic()))
            process.process.kill()
            process.process.wait()
            process.pipe("stdout").close()
            process.pipe("stderr").close()
        self._selector.close()
