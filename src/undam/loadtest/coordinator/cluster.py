"""Workers on an existing Ray cluster: one actor per worker, which relays the worker's frames.

The measuring process is the same `undam.loadtest` as on one machine, with the same timestamps,
analysis and metrics. Ray only starts it on another node and transports its frames. Each request is
measured by a single host. Clocks of different hosts are compared only for the common start and the
timeline of the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from undam.errors import UndamError, UsageError
from undam.host import host_name
from undam.loadtest.cluster_frames import (
    FrameError,
    job_from_json,
    job_json,
    result_from_json,
    result_json,
)
from undam.loadtest.coordinator.worker_pool import (
    LocalWorkerPool,
    SchedStat,
    WorkerEvent,
    WorkerLost,
    WorkerNode,
)
from undam.loadtest.protocol import Failure, FinalReport, Status

# Actors start within a second or two, but a full cluster queues them indefinitely.
_PLACEMENT_TIMEOUT_S = 60.0
_CLOCK_ROUNDS = 5
_CALL_TIMEOUT_S = 10.0
_RELAY_TICK_S = 0.25

_MAX_REASON_BYTES = 1000
_MAX_DIGITS = 18

# First byte of each item that an actor streams.
_LOST, _FRAME, _SCHED_STAT = b"\0", b"\1", b"\2"


class ActorLocation(NamedTuple):
    """Location of an actor: Ray node ID, host name and process ID."""

    node: str
    host: str
    pid: int


class ClusterError(UndamError):
    """The cluster cannot be reached or has too few free CPUs."""


class WorkerActor:
    """Ray actor that runs one worker process on a cluster node and relays its frames."""

    def __init__(self) -> None:
        self._pool = LocalWorkerPool(1)

    def where(self) -> tuple[str, str, int]:
        """Return the location of the actor, as the fields of an ``ActorLocation``."""
        import ray  # noqa: PLC0415 (an extra, which is always installed where an actor runs)

        return ray.get_runtime_context().get_node_id(), host_name(), os.getpid()

    def clock(self) -> int:
        """Return the time on this machine's CLOCK_REALTIME."""
        return time.time_ns()

    def send(self, data: bytes) -> None:
        """Send a frame, given as JSON, to the worker."""
        self._pool.send(0, job_from_json(data))

    def frames(self) -> Iterator[bytes]:
        """Yield the worker's frames as JSON as they arrive, each prefixed with its type byte.

        A status is followed by the worker's scheduler statistics. If the worker is lost, the last
        item is the reason as text.
        """
        while True:
            for event in self._pool.receive(_RELAY_TICK_S):
                if isinstance(event, WorkerLost):
                    yield _LOST + event.why.encode()
                    return
                yield _FRAME + result_json(event)
                sched_stat = self._pool.sched_stat(0)
                if isinstance(event, Status) and sched_stat is not None:
                    yield _SCHED_STAT + b"%d %d %d" % sched_stat
                if isinstance(event, FinalReport | Failure):
                    return

    def close(self) -> None:
        """End the worker."""
        self._pool.close()


class RayWorkerPool:
    """Workers on the Ray cluster at ``address`` ("auto", or HOST:PORT of its head).

    The same version of undam must be importable on every node.

    Raises:
        UsageError: Ray is not installed on this machine.
        ClusterError: the cluster cannot be reached or has fewer CPUs than workers.
    """

    # A call to another node takes a few milliseconds. The slowest of many calls must still arrive
    # before the common start.
    start_lead_ns = 500_000_000

    def __init__(self, address: str, size: int) -> None:
        self.size = size
        self._ray = _connect(address)
        self._actors: list[Any] = []
        self._streams: dict[Any, int] = {}
        self._offsets = [0] * size
        self._doubts = [0] * size
        self._sched_stats: dict[int, SchedStat] = {}
        try:
            self.places = self._place()
            self._measure_clock_offsets()
            for worker, actor in enumerate(self._actors):
                self._streams[actor.frames.remote()] = worker
        except BaseException:
            self.close()
            raise

    def _place(self) -> tuple[ActorLocation, ...]:
        ray, size = self._ray, self.size
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < size:
            raise ClusterError(
                f"the cluster has {cpus} CPUs for {size} workers: use fewer --workers"
            )
        actor = ray.remote(
            num_cpus=1, max_restarts=0, max_concurrency=3, scheduling_strategy="SPREAD"
        )(_actor_class(ray))
        self._actors = [actor.remote() for _ in range(size)]
        try:
            found = ray.get(
                [actor.where.remote() for actor in self._actors], timeout=_PLACEMENT_TIMEOUT_S
            )
        except ray.exceptions.GetTimeoutError:
            raise ClusterError(
                f"the cluster did not start {size} workers within {_PLACEMENT_TIMEOUT_S:.0f} s"
            ) from None
        except ray.exceptions.RayError as error:
            raise ClusterError(f"a worker did not start: {_first_line(error)}") from None
        return tuple(ActorLocation(*fields) for fields in found)

    def _measure_clock_offsets(self) -> None:
        """Measure the clock offset of each worker on another host.

        The fastest of several round trips bounds the error best. Workers on this host share its
        clock.
        """
        here = host_name()
        for worker, (actor, place) in enumerate(zip(self._actors, self.places, strict=True)):
            if place.host != here:
                self._offsets[worker], self._doubts[worker] = self._offset_of(actor)

    def _offset_of(self, actor: Any) -> tuple[int, int]:
        best: tuple[int, int] | None = None
        for _ in range(_CLOCK_ROUNDS):
            sent_ns = time.time_ns()
            remote_ns = self._ray.get(actor.clock.remote(), timeout=_CALL_TIMEOUT_S)
            round_trip_ns = time.time_ns() - sent_ns
            if best is None or round_trip_ns < best[1]:
                best = remote_ns - sent_ns - round_trip_ns // 2, round_trip_ns
        assert best is not None
        return best[0], best[1] // 2

    @property
    def nodes(self) -> tuple[WorkerNode, ...]:
        return tuple(
            WorkerNode(place.node, place.host, offset_ns, doubt_ns)
            for place, offset_ns, doubt_ns in zip(
                self.places, self._offsets, self._doubts, strict=True
            )
        )

    def offset_ns(self, worker: int) -> int:
        return self._offsets[worker]

    def send(self, worker: int, data: bytes) -> None:
        # The reply is not awaited: if the call fails, ``receive`` reports the worker as lost.
        self._actors[worker].send.remote(job_json(data))

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        if not self._streams:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(self._streams), timeout=timeout_s)
        events: list[WorkerEvent] = []
        for stream in ready:
            events += self._next(stream)
        return events

    def _next(self, stream: Any) -> list[WorkerEvent]:
        worker = self._streams[stream]
        try:
            data: object = self._ray.get(next(stream), timeout=_CALL_TIMEOUT_S)
        except StopIteration:
            del self._streams[stream]
            return []
        except self._ray.exceptions.RayError as error:
            del self._streams[stream]
            return [WorkerLost(worker, f"its Ray actor is gone ({type(error).__name__})")]
        try:
            return self._parse(data, worker)
        except FrameError as error:
            del self._streams[stream]
            self.kill(worker)
            return [WorkerLost(worker, f"it sent an invalid frame ({error})")]

    def _parse(self, data: object, worker: int) -> list[WorkerEvent]:
        """Parse one item from an actor into events. The item is untrusted input.

        Raises:
            FrameError: the item is invalid.
        """
        if not isinstance(data, bytes):
            raise FrameError("not bytes")
        kind, rest = data[:1], data[1:]
        if kind == _LOST:
            return [WorkerLost(worker, rest[:_MAX_REASON_BYTES].decode("utf-8", "replace"))]
        if kind == _SCHED_STAT:
            self._sched_stats[worker] = _sched_stat(rest)
            return []
        return [result_from_json(rest, worker)]

    def sched_stat(self, worker: int) -> SchedStat | None:
        return self._sched_stats.get(worker)

    def kill(self, worker: int) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(self._actors[worker])

    def close(self) -> None:
        closing = [actor.close.remote() for actor in self._actors]
        with contextlib.suppress(Exception):
            self._ray.wait(closing, num_returns=len(closing), timeout=_CALL_TIMEOUT_S)
        for worker in range(len(self._actors)):
            self.kill(worker)
        self._actors = []
        self._ray.shutdown()


def _sched_stat(data: bytes) -> SchedStat:
    numbers = data.split()
    if len(numbers) != len(SchedStat._fields) or not all(
        number.isdigit() and len(number) <= _MAX_DIGITS for number in numbers
    ):
        raise FrameError("malformed scheduler statistics")
    return SchedStat(*map(int, numbers))


def _actor_class(ray: Any) -> type:
    """Return ``WorkerActor`` with ``frames`` declared as a streaming method for Ray."""

    class StreamingActor(WorkerActor):
        frames = ray.method(num_returns="streaming")(WorkerActor.frames)

    return StreamingActor


def _require_head(address: str) -> None:
    """Check that a server accepts connections at ``address``.

    Ray itself would retry for more than a minute and log to standard error meanwhile.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise UsageError(f"--ray {address}: expected HOST:PORT of the cluster's head, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CALL_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(f"--ray {address}: cannot connect to the cluster ({reason})") from None


def _connect(address: str) -> Any:
    _require_head(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 (an extra, and slow to load)
    except ImportError:
        raise UsageError("--ray needs Ray: pip install ray") from None
    _silence(ray)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=50,
            configure_logging=False,
            runtime_env=None,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ClusterError(f"--ray {address}: {_first_line(error)}") from None
    finally:
        # Ray's own SIGTERM handler would prevent the partial report.
        for number, handler in before.items():
            signal.signal(number, handler)
    return ray


def _silence(ray: Any) -> None:
    """Stop Ray from printing to standard output when an actor is lost.

    Its log options do not cover these messages. Standard output may be JSON, and the report
    includes the lost worker anyway.
    """
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_args, **_kwargs: None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
