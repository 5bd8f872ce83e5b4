"""Supervisor of several workers: starts them, restarts crashed ones and forwards signals."""

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
# The pause before a crashing worker is restarted doubles between these limits. A run of at least
# `_STABLE_S` resets it.
_MIN_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0
_STABLE_S = 60.0
# Time between the signal to stop immediately and SIGKILL.
_KILL_AFTER_S = 2.0
_STARTING_POLL_S = 0.05
_MAX_WAIT_S = 60.0
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})


class WorkerState(IntEnum):
    """State of a worker, in one byte of shared memory."""

    DOWN = 0
    LISTENING = 1
    DRAINING = 2


class WorkerStates:
    """States of all workers in shared memory, which is allocated before they are forked."""

    def __init__(self, count: int) -> None:
        self._states = mmap.mmap(-1, count)
        self.count = count

    def set(self, worker: int, state: WorkerState) -> None:
        """Set the state of ``worker`` in the memory that all processes share."""
        self._states[worker] = state

    @property
    def not_ready(self) -> str:
        """Reason why the gateway is not ready; "" if it is ready."""
        states = self._states[:]
        if WorkerState.DRAINING in states:
            return "draining"
        down = states.count(WorkerState.DOWN)
        return f"{down} of {self.count} workers are not listening" if down else ""


class Supervisor:
    """Supervisor that runs ``work(number)`` in one process per worker until a signal stops them.

    Args:
        work: returns the exit code. It drains on SIGTERM and stops at once on SIGUSR1.
        ready: called once, when all workers listen.
        accept_reload: called on SIGHUP; if it returns false, the workers do not get the signal.
        log: writes one line for the operator.
    """

    def __init__(
        self,
        states: WorkerStates,
        work: Callable[[int], int],
        *,
        ready: Callable[[], None],
        accept_reload: Callable[[], bool],
        log: Callable[[str], None],
    ) -> None:
        self._states = states
        self._work = work
        self._ready: Callable[[], None] | None = ready
        self._accept_reload = accept_reload
        self._log = log
        self._pids: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._restart_at: dict[int, float] = {}
        self._stop_signals = 0
        self._kill_at = float("inf")

    def run(self) -> int:
        """Run the workers.

        Returns:
            0 after a clean stop, 1 if workers failed or were killed, or the exit code of a
            worker that could not start.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        code = 0
        try:
            for worker in range(self._states.count):
                self._start(worker)
            while self._pids or (self._restart_at and not self._stop_signals):
                received = signal.sigtimedwait(SIGNALS, self._wait_s())
                if received is not None:
                    self._handle(received.si_signo)
                code = max(code, self._reap())
                self._run_due()
            return code
        finally:
            for pid in self._pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait_s(self) -> float:
        """Return the time until the next restart, kill or (during startup) poll."""
        if self._ready is not None:
            return _STARTING_POLL_S
        due = min([*self._restart_at.values(), self._kill_at])
        return min(_MAX_WAIT_S, max(0.0, due - time.monotonic()))

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._accept_reload():
                self._signal_all(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop_signals += 1
            if self._stop_signals == 1:
                notify("STOPPING=1")
                self._signal_all(signal.SIGTERM)
            else:
                self._signal_all(signal.SIGUSR1)
                self._kill_at = time.monotonic() + _KILL_AFTER_S

    def _run_due(self) -> None:
        """Report readiness, kill workers that did not stop, and restart crashed ones."""
        now = time.monotonic()
        if self._ready is not None and not self._states.not_ready:
            ready, self._ready = self._ready, None
            ready()
        if now >= self._kill_at:
            self._signal_all(signal.SIGKILL)
        for worker, due in list(self._restart_at.items()):
            if due <= now and not self._stop_signals:
                del self._restart_at[worker]
                self._start(worker)

    def _signal_all(self, number: int) -> None:
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
            self._started[worker] = time.monotonic()
            return
        code = 1
        try:
            _drain_when_orphaned(parent)
            code = self._work(worker)
        except BaseException as error:
            self._log(f"worker {worker}: {type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            # Skip the parent's exit handlers and buffers.
            os._exit(code)

    def _reap(self) -> int:
        """Collect ended workers and return the highest exit code to report."""
        highest = 0
        for worker, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._pids[worker]
            self._states.set(worker, WorkerState.DOWN)
            code = os.waitstatus_to_exitcode(status)
            if self._stop_signals:
                highest = max(highest, 1 if code else 0)
            elif self._ready is not None:
                # The worker failed at startup, and another attempt would fail in the same way.
                self._stop_signals += 1
                self._signal_all(signal.SIGTERM)
                highest = max(highest, code if code > 0 else 1)
            else:
                self._schedule_restart(worker, code)
        return highest

    def _schedule_restart(self, worker: int, code: int) -> None:
        now = time.monotonic()
        stable = now - self._started[worker] > _STABLE_S
        pause = _MIN_PAUSE_S if stable else self._pauses.get(worker, _MIN_PAUSE_S)
        self._pauses[worker] = min(_MAX_PAUSE_S, pause * 2)
        self._restart_at[worker] = now + pause
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._log(f"worker {worker} ended with {cause}; restarting it in {pause:g} s")


def _drain_when_orphaned(parent: int) -> None:
    """Make the kernel send SIGTERM to this worker when its parent dies for any reason."""
    import ctypes  # noqa: PLC0415 (not needed by a single worker)

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
