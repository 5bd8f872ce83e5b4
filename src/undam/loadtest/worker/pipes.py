"""Pipes between a worker and the coordinator; they never block while the load is running."""

from __future__ import annotations

import contextlib
import os
from collections import deque

from undam.loadtest.protocol import Frame, FrameReader, Job, Start, Stop, encode

_READ_BYTES = 1 << 16


class WorkerPipes:
    """Worker's end of the pipes: reads frames from ``source`` and writes frames to ``sink``.

    Attributes:
        stopped: whether a ``Stop`` or the end of the pipe was received.
        start_ns: the common start from a ``Start`` frame; ``None`` before it.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.stopped = False
        self.start_ns: int | None = None
        self.source = source
        self._sink = sink
        self._reader = FrameReader()
        self._out: deque[memoryview] = deque()

    def read_job(self) -> Job | None:
        """Wait for the job and return it; ``None`` if the pipe ends first."""
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
        """Read available frames; return false at the end of the pipe."""
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
        """Write a frame; buffer the data that the pipe does not accept at once."""
        self._out.append(memoryview(encode(frame)))
        self.flush()

    def flush(self) -> None:
        """Write buffered data.

        Raises:
            BrokenPipeError: the coordinator has closed the pipe.
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
        """Write all buffered data, and block until the pipe has accepted it.

        Raises:
            BrokenPipeError: the coordinator has closed the pipe.
        """
        os.set_blocking(self._sink, True)
        self.flush()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Start):
            self.start_ns = frame.at_ns
        elif isinstance(frame, Stop):
            self.stopped = True
