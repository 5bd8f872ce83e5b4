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

from undam.loadtest.protocol import Failure, Final, Frame, FrameReader

COMMAND = (sys.executable, "-P", "-m", "undam.loadtest")
"""A worker: reads a job from its standard input, writes frames to its standard output."""

_READ_BYTES = 1 << 20
# Of what a worker wrote to its standard error, only the end says why it stopped.
_KEPT_ERROR_BYTES = 4096
_END_S = 2.0


class Lost(NamedTuple):
    """A worker that ended without a ``Final`` or ``Failure``."""

    worker: int
    why: str


Heard = Frame | Lost


class Node(NamedTuple):
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


class Account(NamedTuple):
    """The system's account of a process (/proc/PID/schedstat), ns: how long it ran, how long it
    was ready and had to wait for a processor, and how often it got one."""

    ran: int
    waited: int
    turns: int


class Crew(Protocol):
    """Some workers, numbered from 0."""

    @property
    def size(self) -> int:
        """How many they were at the beginning."""

    @property
    def notice_ns(self) -> int:
        """How long before the common start they must be told of it."""

    def offset_ns(self, worker: int) -> int:
        """How far that worker's clock is ahead of this process's."""

    def tell(self, worker: int, data: bytes) -> None:
        """Send an encoded frame; a worker that is gone hears nothing."""

    def hear(self, timeout_s: float) -> list[Heard]:
        """What came, waiting at most so long; each worker's last word is a ``Final``, a
        ``Failure`` or a ``Lost``."""

    def account(self, worker: int) -> Account | None:
        """What the system last said of it; ``None`` where it says nothing."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Where each worker runs; nothing where all run here."""

    def dismiss(self, worker: int) -> None:
        """End a worker at once; it is then heard as lost."""

    def close(self) -> None:
        """End them all; afterwards none of them runs."""


@dataclass(slots=True)
class _Hand:
    """One worker process."""

    process: subprocess.Popen[bytes]
    frames: FrameReader
    error: bytearray
    told_last: bool = False

    def pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self.process, name)
        assert pipe is not None
        return pipe  # type: ignore[no-any-return]


class Processes:
    """Workers on this machine. Starting them is all that the constructor does, so what they load
    and what the caller loads meanwhile go side by side.

    They have a session of their own: Ctrl-C is the coordinator's to hear.
    """

    notice_ns = 3_000_000
    nodes: tuple[Node, ...] = ()

    def __init__(self, size: int) -> None:
        self.size = size
        self._hands: list[_Hand] = []
        self._selector = selectors.DefaultSelector()
        try:
            for worker in range(size):
                self._start(worker)
        except BaseException:
            self.close()
            raise

    def _start(self, worker: int) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        hand = _Hand(process, FrameReader(), bytearray())
        self._hands.append(hand)
        for name in ("stdout", "stderr"):
            self._selector.register(hand.pipe(name), selectors.EVENT_READ, (worker, name))

    def pid(self, worker: int) -> int:
        """Of the worker's process."""
        return self._hands[worker].process.pid

    def offset_ns(self, worker: int) -> int:
        return 0

    def tell(self, worker: int, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            view = memoryview(data)
            pipe = self._hands[worker].pipe("stdin")
            while view:
                view = view[pipe.write(view) :]

    def hear(self, timeout_s: float) -> list[Heard]:
        heard: list[Heard] = []
        for key, _ in self._selector.select(timeout_s):
            worker, name = key.data
            data = os.read(key.fd, _READ_BYTES)
            hand = self._hands[worker]
            if name == "stderr":
                hand.error += data
                del hand.error[:-_KEPT_ERROR_BYTES]
            else:
                frames = hand.frames.receive_data(data)
                heard += frames
                hand.told_last |= any(isinstance(one, Final | Failure) for one in frames)
            if not data:
                self._selector.unregister(key.fileobj)
                if name == "stdout" and not hand.told_last:
                    heard.append(Lost(worker, self._why(hand)))
        return heard

    def _why(self, hand: _Hand) -> str:
        """Why it ended, in a few words: the signal, or the last line it wrote."""
        try:
            code = hand.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        with contextlib.suppress(ValueError):
            os.set_blocking(hand.pipe("stderr").fileno(), False)
            hand.error += hand.pipe("stderr").read(_READ_BYTES) or b""
        said = bytes(hand.error).decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}" + (f": {said[-1].strip()[:200]}" if said else "")

    def account(self, worker: int) -> Account | None:
        try:
            text = Path(f"/proc/{self.pid(worker)}/schedstat").read_text("ascii")
            return Account(*map(int, text.split()))
        except (OSError, ValueError, TypeError):
            return None

    def dismiss(self, worker: int) -> None:
        self._hands[worker].process.kill()

    def close(self) -> None:
        give_up = time.monotonic() + _END_S
        for hand in self._hands:
            with contextlib.suppress(OSError):
                hand.pipe("stdin").close()
        for hand in self._hands:
            # One that has told its last is about to end by itself; any other has no use any more.
            with contextlib.suppress(subprocess.TimeoutExpired):
                if hand.told_last:
                    hand.process.wait(max(0.0, give_up - time.monotonic()))
            hand.process.kill()
            hand.process.wait()
            hand.pipe("stdout").close()
            hand.pipe("stderr").close()
        self._selector.close()
