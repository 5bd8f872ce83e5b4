"""Worker process of a load test: receives a job and reports request results.

While responses arrive, it only sends and reads. It analyzes and reports while idle and after the
last response.
"""

from __future__ import annotations

import gc
import heapq
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
from undam.loadtest.setup.unique import marked
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.engine import NEVER_NS, READ_OVERHEAD_BYTES, Engine
from undam.loadtest.worker.pipes import WorkerPipes
from undam.loadtest.worker.pool import WorkerConnectionPool
from undam.loadtest.worker.schedule import DueRequest, Schedule, make_schedule
from undam.poller import make_poller
from undam.record.request_result import RequestResult
from undam.secrecy import secrets_of
from undam.wire import timestamps
from undam.wire.clock import realtime_offset_ns, sharpen_timers

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

# Number of reads analyzed between two polls. Their analysis takes about 0.2 ms.
_READS_PER_STEP = 12
_STEP_NS = 400_000
# Number of reads analyzed between two polls if a request is due within ``_STEP_NS``.
_READS_BEFORE_SENDING = 4
# Maximum number of requests to start between two polls, which takes a few milliseconds.
_MOST_STARTS = 64
# Maximum size of a batch. Encoding a batch takes no longer than an analysis step. Decoding it,
# possibly on the same CPU, takes less than 0.5 ms.
_BATCH_RESULTS = 32
_BATCH_READS = 128
_STATUS_NS = 250_000_000
_FLUSH_NS = 100_000_000
# Maximum time for opening connections before the start. The others are opened when needed.
_OPENING_NS = 1_000_000_000


class LoadWorker:
    """Worker that runs one job in its own process."""

    def __init__(self, job: Job, pipes: WorkerPipes) -> None:
        self._job = job
        self._pipes = pipes
        self._context = ApiContext(job.api, job.content_path, _secrets_in(job), streams=job.streams)
        self._engine = self._make_engine()
        self._engine.add_reader(pipes.source, self._receive)
        self._schedule: Schedule | None = None
        self._timeout_ns = round(job.timeout_s * 1e9)
        # Cancellation times of requests, with the request numbers.
        self._cancels: list[tuple[int, int]] = []
        self._started = 0
        self._starts_left = _MOST_STARTS
        self._done = 0
        self._reported = 0
        self._ended_ns = 0
        self._results: list[RequestResult] = []
        self._batch_reads = 0
        self._status_ns = 0
        self._flush_ns = 0

    def _make_engine(self) -> Engine:
        job, poller = self._job, make_poller()
        make_tls = None if job.tls is None else _tls_factory(job.tls, http2=job.http2 is not None)
        if job.http2 is None:
            pool = WorkerConnectionPool(job.addresses, poller, make_tls, keep_alive=job.keep_alive)
            return Engine(
                pool, poller, worker=job.worker, on_end=self._on_end, on_due=self._send_due
            )
        # h2 is slow to import, and HTTP/1.1 does not need it.
        from undam.loadtest.worker.http2.engine import Http2Engine  # noqa: PLC0415
        from undam.loadtest.worker.http2.pool import Http2ConnectionPool  # noqa: PLC0415

        shared = Http2ConnectionPool(
            job.addresses, poller, make_tls, job.http2, keep_alive=job.keep_alive
        )
        return Http2Engine(
            shared, poller, worker=job.worker, on_end=self._on_end, on_due=self._send_due
        )

    def run(self) -> None:
        """Run the job and report its results."""
        job, engine = self._job, self._engine
        ahead = len(job.load.slots) if isinstance(job.load, ClosedLoop) else job.load.ahead
        engine.pool.open_ahead(ahead)
        start_ns = self._wait_for_start()
        offset_ns = realtime_offset_ns()
        cpu_ns = time.process_time_ns()
        self._schedule = make_schedule(job, start_ns)
        self._ended_ns = start_ns
        if not self._pipes.stopped:
            self._run_load()
        loaded_ns = time.process_time_ns()
        step_ns = realtime_offset_ns() - offset_ns
        engine.stop()
        while engine.ended:
            self._analyze_next(_READS_PER_STEP)
            self._send_status_if_due()
        self._send_batch()
        self._send_status(time.time_ns())
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
                sleep_ns=engine.sleep_ns,
                received_bytes=engine.received_bytes,
                refused_streams=engine.refused_streams,
                goaways=engine.goaways,
                stream_limit=engine.stream_limit,
            )
        )
        engine.close()

    def _wait_for_start(self) -> int:
        """Open connections, report readiness, and return the common start."""
        engine, pipes = self._engine, self._pipes
        until_ns = time.time_ns() + _OPENING_NS
        while engine.pool.is_opening and time.time_ns() < until_ns and not pipes.stopped:
            if self._job.start_ns is not None and time.time_ns() >= self._job.start_ns:
                break
            if not engine.poll():
                engine.sleep()
        pipes.send(Ready(worker=self._job.worker, at_ns=time.time_ns()))
        if self._job.start_ns is not None:
            return self._job.start_ns
        while pipes.start_ns is None and not pipes.stopped:
            if not engine.poll():
                engine.sleep()
        return pipes.start_ns or time.time_ns()

    def _run_load(self) -> None:
        """Send and read until all requests have ended or a ``Stop`` arrives."""
        engine, pipes = self._engine, self._pipes
        # Send no status yet: decoding it may use the same CPU, and the first requests are due now.
        self._status_ns = time.time_ns() + _STATUS_NS
        self._update_due()
        while not pipes.stopped:
            self._starts_left = _MOST_STARTS
            if time.time_ns() >= engine.due_ns:
                self._send_due()
            if engine.due_ns == NEVER_NS and not engine.active:
                return
            if not engine.poll() and not self._work_while_idle():
                engine.sleep()
            while self._cancels and self._cancels[0][0] <= time.time_ns():
                engine.cancel(heapq.heappop(self._cancels)[1])
            while engine.backlog_bytes > self._job.backlog_bytes:
                self._reduce_backlog()
            self._send_status_if_due()

    def _send_due(self) -> None:
        """Start the requests that are due, but at most ``_MOST_STARTS`` between two polls.

        If requests are due faster than they can be sent, the worker still reads all sockets, and a
        ``Stop`` ends the run.
        """
        assert self._schedule is not None
        engine, schedule = self._engine, self._schedule
        now_ns = time.time_ns()
        while now_ns >= engine.due_ns and self._starts_left:
            self._starts_left -= 1
            due = schedule.take()
            self._started += 1
            engine.start(engine.make_request(due, self._request(due), now_ns + self._timeout_ns))
            self._plan_cancel(due)
            self._update_due()
            now_ns = time.time_ns()

    def _request(self, due: DueRequest) -> bytes:
        """Return the bytes of a request; a placeholder is replaced by the request's mark."""
        job = self._job
        request = job.requests[due.request]
        if not job.marks:
            return request
        return marked(request, job.marks[due.request], job.run, due.number)

    def _plan_cancel(self, due: DueRequest) -> None:
        """Record when to cancel a request, if it was selected for cancellation."""
        delays = self._job.cancel_ns
        delay_ns = delays[due.number % len(delays)] if delays else -1
        if delay_ns >= 0:
            heapq.heappush(self._cancels, (time.time_ns() + delay_ns, due.number))

    def _update_due(self) -> None:
        assert self._schedule is not None
        due_ns = self._schedule.due_ns
        self._engine.due_ns = NEVER_NS if due_ns is None else due_ns

    def _receive(self) -> None:
        if not self._pipes.receive():
            self._engine.remove_reader(self._pipes.source)

    def _on_end(self, active: ActiveRequest, not_accepted: bool) -> None:
        self._done += 1
        assert active.ended is not None
        self._ended_ns = max(self._ended_ns, active.ended.ended_ns)
        if self._schedule is not None:
            self._schedule.release(active.due.slot, time.time_ns(), rest=not_accepted)
            self._update_due()

    def _work_while_idle(self) -> bool:
        """Do one step of deferred work; return false if there is none."""
        now_ns = time.time_ns()
        due_soon = self._engine.due_ns - now_ns < _STEP_NS
        if self._engine.ended:
            self._analyze_next(_READS_BEFORE_SENDING if due_soon else _READS_PER_STEP)
            return True
        if self._results and now_ns >= self._flush_ns and not due_soon:
            self._send_batch()
            return True
        return False

    def _analyze_next(self, max_reads: int) -> None:
        active = self._engine.ended[0]
        if self._analyze(active, max_reads):
            self._engine.ended.popleft()
            result = active.result(self._context)
            self._results.append(result)
            self._batch_reads += len(result.reads)
            if len(self._results) >= _BATCH_RESULTS or self._batch_reads >= _BATCH_READS:
                self._send_batch()

    def _analyze(self, active: ActiveRequest, max_reads: int) -> bool:
        for read in active.reads[:max_reads]:
            self._engine.backlog_bytes -= len(read[3]) + READ_OVERHEAD_BYTES
        return active.analyze(self._context, max_reads)

    def _reduce_backlog(self) -> None:
        if self._engine.ended:
            self._analyze_next(_READS_PER_STEP)
            return
        longest = max(self._engine.active.values(), key=lambda active: len(active.reads))
        self._analyze(longest, _READS_PER_STEP)

    def _send_batch(self) -> None:
        if self._results:
            self._reported += len(self._results)
            self._pipes.send(Batch(worker=self._job.worker, measured=tuple(self._results)))
            self._results = []
            self._batch_reads = 0
        self._flush_ns = time.time_ns() + _FLUSH_NS

    def _send_status_if_due(self) -> None:
        now_ns = time.time_ns()
        if now_ns >= self._status_ns:
            self._send_status(now_ns)

    def _send_status(self, now_ns: int) -> None:
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


def _tls_factory(tls: Tls, *, http2: bool) -> Callable[[], TlsEngine]:
    # Import OpenSSL only for TLS, because loading it takes as long as loading everything else.
    from undam.wire.config import ClientConfig  # noqa: PLC0415
    from undam.wire.tls import TlsEngine, make_context  # noqa: PLC0415

    config = ClientConfig(
        cacert=tls.cacert,
        cert=tls.cert,
        insecure=tls.insecure,
        http_version="2" if http2 else "1.1",
    )
    context = make_context(config)
    return lambda: TlsEngine(context, tls.server_name)


def _secrets_in(job: Job) -> tuple[str, ...]:
    """Return the values of secret headers; all requests have the same headers."""
    requests = job.requests
    if job.http2 is not None:
        return secrets_of(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in job.http2.fields
        )
    if not requests:
        return ()
    lines = requests[0].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return secrets_of(
        (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )


def serve(source: int, sink: int) -> int:
    """Read a job from one pipe, run it, report to the other pipe; return the exit code."""
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
