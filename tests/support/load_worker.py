"""A load-test worker process, and the frames that it sends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from support.threaded_server import TIMEOUT_S
from undam.loadtest.protocol import Batch, FinalReport, Frame, FrameReader, Job, encode
from undam.record.request_result import RequestResult


class WorkerRun:
    """A worker process, and the frames that it has sent so far."""

    def __init__(self, job: Job) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "undam.loadtest"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self.frames: list[Frame] = []
        self._reader = FrameReader()
        self.send(job)

    def send(self, frame: Frame) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode(frame))

    def receive(self, until: Callable[[Frame], bool] = lambda _: False) -> None:
        """Read frames until a frame matches or the worker exits."""
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            frames = self._reader.receive_data(data)
            self.frames += frames
            if any(map(until, frames)):
                return

    def end(self) -> int:
        """Read all remaining frames and return the exit code."""
        with self.process as process:
            self.receive()
            return process.wait(TIMEOUT_S)

    @property
    def results(self) -> list[RequestResult]:
        results = [
            result for frame in self.frames if isinstance(frame, Batch) for result in frame.measured
        ]
        return sorted(results, key=lambda result: result.number)

    @property
    def final(self) -> FinalReport:
        last = self.frames[-1]
        assert isinstance(last, FinalReport)
        return last


def finished(job: Job) -> WorkerRun:
    worker = WorkerRun(job)
    assert worker.end() == 0
    return worker
