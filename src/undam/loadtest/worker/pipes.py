"""The two pipes of a worker: frames in and out, without ever blocking while the load is on."""

from __future__ import annotations

import contextlib
import os
from collections import deque

from undam.loadtest.protocol import Frame, FrameReader, Job, Start, Stop, encode

_READ_BYTES = 1 << 16


class WorkerPipes:
    """Frames from ``source`` and to ``sink``.

    Attributes:
        stopped: a ``Stop`` has come, or the end of the pipe.
        start_ns: what a ``Start`` said.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.stopped = False
        self.start_ns: int | None = None
        self.source = source
        self._sink = sink
        self._reader = FrameReader()
        self._out: deque[memoryview] = deque()

    def read_job(self) -> Job | None:
        """The job, however long it takes to come; ``None`` where the pipe ends before it."""
        job = None
        while job is None and (data := os.read(self.source, _READ_BYTES)):
            for frame in self._reader.receive_data(data):
                self._take(frame)
                if isinstance(frame, Job):
                    job = frame
        os.set_blocking(self.source, False)
        os.set_blocking(self._sink, False)
        return job

    def receive(self) -> bool:
        """Read what has come; false at the pipe's end."""
        try:
            data = os.read(self.source, _READ_BYTES)
        except BlockingIOError:
            return True
        for frame in self._reader.receive_data(data):
            self._take(frame)
        if not data:
            self.stopped = True
        return bool(data)

    def send(self, frame: Frame) -> None:
        """Write as much as the pipe takes, and keep the rest."""
        self._out.append(memoryview(encode(frame)))
        self.flush()

    def flush(self) -> None:
        """Try again to write what is left.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        out = self._out
        with contextlib.suppress(BlockingIOError):
            while out:
                rest = out[0][os.write(self._sink, out[0]) :]
                if rest:
                    out[0] = rest
                else:
                    out.popleft()

    def finish(self) -> None:
        """Write all that is left, however long the reader takes; raises as ``flush``."""
        os.set_blocking(self._sink, True)
        self.flush()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Start):
            self.start_ns = frame.at_ns
        elif isinstance(frame, Stop):
            self.stopped = True
