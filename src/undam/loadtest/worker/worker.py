"""One worker process of a load test: a job in, measured requests out.

While answers come in it sends and reads; it judges and reports in the moments between, and after
the last answer.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from undam.errors import UndamError, UsageError
from undam.loadtest.analysis.response_analyzer import ApiContext
from undam.loadtest.protocol import (
    Batch,
    ClosedLoop,
    Failure,
    FinalReport,
    Job,
    Ready,
    Status,
    Tls,
)
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.engine import NEVER_NS, READ_OVERHEAD_BYTES, Engine
from undam.loadtest.worker.pipes import WorkerPipes
from undam.loadtest.worker.schedule import Schedule, make_schedule
from undam.record.redact import secrets_of
from undam.record.request_result import RequestResult
from undam.wire import timestamps
from undam.wire.clock import realtime_offset_ns, sharpen_timers

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

# Judged in one piece, before the sockets are looked at again: some 0.2 ms.
_READS_A_PIECE = 12
_PIECE_NS = 400_000
# The same with a request due sooner than that.
_READS_BEFORE_SENDING = 4
# Reported together: packing them takes no longer than judging a piece, and whoever takes them in,
# who may have no other core than this one, does so in less than 0.5 ms.
_BATCH = 32
_BATCH_READS = 128
_STATUS_NS = 250_000_000
_FLUSH_NS = 100_000_000
# Connections that are not there by then will be opened when they are needed.
_OPENING_NS = 1_000_000_000


class LoadWorker:
    """What one process does with one job."""

    def __init__(self, job: Job, pipes: WorkerPipes) -> None:
        self._job = job
        self._pipes = pipes
        self._context = ApiContext(job.api, job.content_path, _secrets_in(job.requests))
        self._engine = Engine(
            job.addresses,
            worker=job.worker,
            keep_alive=job.keep_alive,
            pump=None if job.tls is None else _pumps(job.tls),
            on_over=self._over,
            on_due=self._send_due,
        )
        self._engine.watch(pipes.source, self._receive)
        self._schedule: Schedule | None = None
        self._timeout_ns = round(job.timeout_s * 1e9)
        self._started = 0
        self._done = 0
        self._reported = 0
        self._analyzed_busy = 0
        self._ended_ns = 0
        self._measured: list[RequestResult] = []
        self._batch_reads = 0
        self._status_ns = 0
        self._flush_ns = 0

    def run(self) -> None:
        """Do the job and report it."""
        job, engine = self._job, self._engine
        ahead = len(job.load.slots) if isinstance(job.load, ClosedLoop) else job.load.ahead
        engine.pool.open_ahead(ahead)
        start_ns = self._wait_for_start()
        offset_ns = realtime_offset_ns()
        cpu_ns = time.process_time_ns()
        self._schedule = make_schedule(job, start_ns)
        self._ended_ns = start_ns
        if not self._pipes.stopped:
            self._load()
        loaded_ns = time.process_time_ns()
        step_ns = realtime_offset_ns() - offset_ns
        engine.stop()
        while engine.over:
            self._analyze_next(_READS_A_PIECE)
            self._tell_in_time()
        self._report(last=True)
        self._pipes.send(
            FinalReport(
                worker=job.worker,
                started_ns=start_ns,
                ended_ns=self._ended_ns,
                started=self._started,
                unstarted=self._schedule.unstarted,
                stopped=self._pipes.stopped,
                connections=engine.pool.opened,
                resent=engine.resent + engine.pool.stale,
                cpu_ns=loaded_ns - cpu_ns,
                analysis_ns=time.process_time_ns() - loaded_ns,
                step_ns=step_ns,
                judged_busy=self._analyzed_busy,
                sleep_ns=engine.sleep_ns,
                received_bytes=engine.received_bytes,
            )
        )
        engine.close()

    def _wait_for_start(self) -> int:
        """Open connections until the start is near; returns when that is."""
        engine, pipes = self._engine, self._pipes
        until_ns = time.time_ns() + _OPENING_NS
        while engine.pool.is_opening and time.time_ns() < until_ns and not pipes.stopped:
            if self._job.start_ns is not None and time.time_ns() >= self._job.start_ns:
                break
            if not engine.turn():
                engine.sleep()
        pipes.send(Ready(worker=self._job.worker, at_ns=time.time_ns()))
        if self._job.start_ns is not None:
            return self._job.start_ns
        while pipes.start_ns is None and not pipes.stopped:
            if not engine.turn():
                engine.sleep()
        return pipes.start_ns or time.time_ns()

    def _load(self) -> None:
        """Send and read until all is over, or a stop."""
        engine, pipes = self._engine, self._pipes
        # Whoever hears a status may have no other core than this one, and requests are due now.
        self._status_ns = time.time_ns() + _STATUS_NS
        self._look_at_schedule()
        while not pipes.stopped:
            if time.time_ns() >= engine.due_ns:
                self._send_due()
            if engine.due_ns == NEVER_NS and not engine.live:
                return
            if not engine.turn() and not self._work():
                engine.sleep()
            while engine.backlog_bytes > self._job.backlog_bytes:
                self._analyzed_busy += 1
                self._reduce_backlog()
            self._tell_in_time()

    def _send_due(self) -> None:
        """Start every request that is due."""
        assert self._schedule is not None
        engine, schedule, requests = self._engine, self._schedule, self._job.requests
        now_ns = time.time_ns()
        while now_ns >= engine.due_ns:
            due = schedule.take()
            self._started += 1
            engine.start(ActiveRequest(due, requests[due.request], now_ns + self._timeout_ns))
            self._look_at_schedule()
            now_ns = time.time_ns()

    def _look_at_schedule(self) -> None:
        assert self._schedule is not None
        due_ns = self._schedule.due_ns
        self._engine.due_ns = NEVER_NS if due_ns is None else due_ns

    def _receive(self) -> None:
        if not self._pipes.receive():
            self._engine.forget(self._pipes.source)

    def _over(self, active: ActiveRequest, untaken: bool) -> None:
        self._done += 1
        assert active.ended is not None
        self._ended_ns = max(self._ended_ns, active.ended.ended_ns)
        if self._schedule is not None:
            self._schedule.over(active.due.slot, time.time_ns(), rest=untaken)
            self._look_at_schedule()

    def _work(self) -> bool:
        """Do a little of what can wait; false where there is nothing."""
        now_ns = time.time_ns()
        soon = self._engine.due_ns - now_ns < _PIECE_NS
        if self._engine.over:
            self._analyze_next(_READS_BEFORE_SENDING if soon else _READS_A_PIECE)
            return True
        if self._measured and now_ns >= self._flush_ns and not soon:
            self._report()
            return True
        return False

    def _analyze_next(self, most: int) -> None:
        active = self._engine.over[0]
        if self._analyze(active, most):
            self._engine.over.popleft()
            one = active.measured(self._context)
            self._measured.append(one)
            self._batch_reads += len(one.reads)
            if len(self._measured) >= _BATCH or self._batch_reads >= _BATCH_READS:
                self._report()

    def _analyze(self, active: ActiveRequest, most: int) -> bool:
        for read in active.reads[:most]:
            self._engine.backlog_bytes -= len(read[3]) + READ_OVERHEAD_BYTES
        return active.analyze(self._context, most)

    def _reduce_backlog(self) -> None:
        if self._engine.over:
            self._analyze_next(_READS_A_PIECE)
            return
        most = max(self._engine.live.values(), key=lambda one: len(one.reads))
        self._analyze(most, _READS_A_PIECE)

    def _report(self, *, last: bool = False) -> None:
        if self._measured:
            self._reported += len(self._measured)
            self._pipes.send(Batch(worker=self._job.worker, measured=tuple(self._measured)))
            self._measured = []
            self._batch_reads = 0
        self._flush_ns = time.time_ns() + _FLUSH_NS
        if last:
            self._tell(time.time_ns())

    def _tell_in_time(self) -> None:
        now_ns = time.time_ns()
        if now_ns >= self._status_ns:
            self._tell(now_ns)

    def _tell(self, now_ns: int) -> None:
        engine = self._engine
        self._status_ns = now_ns + _STATUS_NS
        self._pipes.send(
            Status(
                worker=self._job.worker,
                at_ns=now_ns,
                started=self._started,
                done=self._done,
                reported=self._reported,
                late_ns=engine.late_ns,
                send_late_ns=engine.send_late_ns,
                cpu_ns=time.process_time_ns(),
                received_bytes=engine.received_bytes,
                backlog_bytes=engine.backlog_bytes,
            )
        )
        engine.late_ns = engine.send_late_ns = 0


def _pumps(tls: Tls) -> Callable[[], TlsEngine]:
    # Loading OpenSSL takes as long as all the rest; most tests of a model server need none.
    from undam.wire.config import ClientConfig  # noqa: PLC0415
    from undam.wire.tls import TlsEngine, make_context  # noqa: PLC0415

    config = ClientConfig(cacert=tls.cacert, cert=tls.cert, insecure=tls.insecure)
    context = make_context(config)
    return lambda: TlsEngine(context, tls.server_name)


def _secrets_in(requests: tuple[bytes, ...]) -> tuple[str, ...]:
    """The values of secret headers of the requests; all requests have the same."""
    if not requests:
        return ()
    lines = requests[0].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return secrets_of(
        (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )


def serve(source: int, sink: int) -> int:
    """Read a job from one pipe, do it, and report into the other; returns the exit code."""
    pipes = WorkerPipes(source, sink)
    job = pipes.read_job()
    if job is None:
        return 2
    sharpen_timers()
    timestamps.warm_up_now()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        LoadWorker(job, pipes).run()
    except UndamError as error:
        pipes.send(
            Failure(worker=job.worker, message=str(error), usage=isinstance(error, UsageError))
        )
        pipes.finish()
        return 2
    pipes.finish()
    return 0
