"""The parent of several workers: starts them, starts a crashed one again, passes signals on."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from enum import IntEnum

from undam.gateway.process.systemd import notify

_PR_SET_PDEATHSIG = 1
# A worker that crashes at once must not be started in a busy loop, nor stay away for long.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 60.0
# After the signal to end at once.
_MERCY_S = 2.0
_TICK_S = 0.05
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})


class WorkerState(IntEnum):
    """Of a worker, in one byte of shared memory."""

    DOWN = 0
    LISTENING = 1
    DRAINING = 2


class WorkerStates:
    """The states of all workers, in memory that they share; made before they are."""

    def __init__(self, count: int) -> None:
        self._states = mmap.mmap(-1, count)
        self.count = count

    def set(self, worker: int, state: WorkerState) -> None:
        """Note it."""
        self._states[worker] = state

    @property
    def not_ready(self) -> str:
        """Why the gateway is not ready; "" if it is."""
        states = self._states[:]
        if WorkerState.DRAINING in states:
            return "draining"
        down = states.count(WorkerState.DOWN)
        return f"{down} of {self.count} workers do not listen" if down else ""


class Supervisor:
    """Runs ``work(number)`` in a process each until it is told to stop.

    Args:
        work: returns the exit code; SIGTERM lets it drain, SIGUSR1 end at once.
        ready: called once, when all listen.
        accept: called on SIGHUP; false keeps the signal from the workers.
        say: told, in one line, what an operator wants to know.
    """

    def __init__(
        self,
        states: WorkerStates,
        work: Callable[[int], int],
        *,
        ready: Callable[[], None],
        accept: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._states = states
        self._work = work
        self._ready: Callable[[], None] | None = ready
        self._accept = accept
        self._say = say
        self._pids: dict[int, int] = {}
        self._begun: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._stops = 0
        self._kill_at = float("inf")

    def run(self) -> int:
        """Returns 0 after a stop in good order, 1 if workers had to be killed, or the code of a
        worker that could not even begin."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        code = 0
        try:
            for worker in range(self._states.count):
                self._start(worker)
            while self._pids or (self._due and not self._stops):
                got = signal.sigtimedwait(SIGNALS, _TICK_S if self._ready else self._patience())
                if got is not None:
                    self._obey(got.si_signo)
                code = max(code, self._reap())
                self._go_on()
            return code
        finally:
            for pid in self._pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _patience(self) -> float:
        """Seconds to the next thing that is due by itself."""
        due = min([*self._due.values(), self._kill_at])
        return min(60.0, max(0.0, due - time.monotonic()))

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._accept():
                self._tell(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stops += 1
            if self._stops == 1:
                notify("STOPPING=1")
                self._tell(signal.SIGTERM)
            else:
                self._tell(signal.SIGUSR1)
                self._kill_at = time.monotonic() + _MERCY_S

    def _go_on(self) -> None:
        """Whatever is due by now."""
        now = time.monotonic()
        if self._ready is not None and not self._states.not_ready:
            ready, self._ready = self._ready, None
            ready()
        if now >= self._kill_at:
            self._tell(signal.SIGKILL)
        for worker, due in list(self._due.items()):
            if due <= now and not self._stops:
                del self._due[worker]
                self._start(worker)

    def _tell(self, number: int) -> None:
        for pid in self._pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _start(self, worker: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._pids[worker] = pid
            self._begun[worker] = time.monotonic()
            return
        code = 1
        try:
            _die_with(parent)
            code = self._work(worker)
        except BaseException as error:
            self._say(f"worker {worker}: {type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            # Nothing of the parent's: its cleaning up is its own.
            os._exit(code)

    def _reap(self) -> int:
        """Take note of workers that ended; the worst code that is to be told."""
        worst = 0
        for worker, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._pids[worker]
            self._states.set(worker, WorkerState.DOWN)
            code = os.waitstatus_to_exitcode(status)
            if self._stops:
                worst = max(worst, 1 if code else 0)
            elif self._ready is not None:
                # It could not begin, and its next try would end the same way.
                self._stops += 1
                self._tell(signal.SIGTERM)
                worst = max(worst, code if code > 0 else 1)
            else:
                self._again(worker, code)
        return worst

    def _again(self, worker: int, code: int) -> None:
        now = time.monotonic()
        steady = now - self._begun[worker] > _STEADY_S
        pause = _FIRST_PAUSE_S if steady else self._pauses.get(worker, _FIRST_PAUSE_S)
        self._pauses[worker] = min(_LONGEST_PAUSE_S, pause * 2)
        self._due[worker] = now + pause
        how = f"signal {-code}" if code < 0 else f"code {code}"
        self._say(f"worker {worker} ended with {how}; it starts again in {pause:g} s")


def _die_with(parent: int) -> None:
    """Let this worker drain when its parent is gone, however that ended."""
    import ctypes  # noqa: PLC0415 (a lone worker does without)

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
